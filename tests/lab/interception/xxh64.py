# SPDX-License-Identifier: Apache-2.0
"""XXH64 with seed 0, from its specification (xxhash_spec.md), so that nothing of the tested code checks itself."""
import struct

P1, P2, P3, P4, P5 = (11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579,
                      2870177450012600261)
MASK = (1 << 64) - 1


def rotate(x, n):
    return (x << n | x >> (64 - n)) & MASK


def lane(accumulator, word):
    return rotate((accumulator + word * P2) & MASK, 31) * P1 & MASK


def xxh64(data):
    end = len(data)
    at = 0
    if end >= 32:
        a, b, c, d = (P1 + P2) & MASK, P2, 0, -P1 & MASK
        while at + 32 <= end:
            w, x, y, z = struct.unpack_from("<4Q", data, at)
            a, b, c, d = lane(a, w), lane(b, x), lane(c, y), lane(d, z)
            at += 32
        value = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) & MASK
        for accumulator in (a, b, c, d):
            value = ((value ^ lane(0, accumulator)) * P1 + P4) & MASK
    else:
        value = P5
    value = (value + end) & MASK
    while at + 8 <= end:
        value = (rotate(value ^ lane(0, struct.unpack_from("<Q", data, at)[0]), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= end:
        value = (rotate(value ^ struct.unpack_from("<I", data, at)[0] * P1 & MASK, 23) * P2 + P3) & MASK
        at += 4
    while at < end:
        value = rotate(value ^ data[at] * P5 & MASK, 11) * P1 & MASK
        at += 1
    value = (value ^ value >> 33) * P2 & MASK
    value = (value ^ value >> 29) * P3 & MASK
    return value ^ value >> 32


assert xxh64(b"") == 0xEF46DB3751D8E999
assert xxh64(b"a") == 0xD24EC4F1A98C6E5B
