# SPDX-License-Identifier: Apache-2.0
"""A second reader of a kernel image, independent of guest-tools: prints "field offset" lines.

btf_offsets.py VMLINUZ    (xz-compressed, as Debian's)

Written from the BTF specification (the kernel's Documentation/bpf/btf.rst). It finds the kernel by the xz magic, not
by the boot header, and walks the types itself, so that it shares no code and few ideas with what it checks.
"""
import lzma
import struct
import sys

FIELDS = {
    'rq_nr_running': 'rq nr_running', 'task_pid': 'task_struct pid', 'task_tgid': 'task_struct tgid',
    'task_state': 'task_struct __state',
    'task_files': 'task_struct files', 'files_fdt': 'files_struct fdt', 'fdt_max_fds': 'fdtable max_fds',
    'fdt_fd': 'fdtable fd', 'file_inode': 'file f_inode', 'file_private': 'file private_data',
    'inode_mode': 'inode i_mode', 'inode_rdev': 'inode i_rdev', 'inode_sb': 'inode i_sb',
    'sb_magic': 'super_block s_magic', 'socket_sk': 'socket sk', 'sk_family': 'sock skc_family',
    'sk_state': 'sock skc_state', 'sk_type': 'sock sk_type', 'sk_daddr': 'sock skc_daddr',
    'sk_rcv_saddr': 'sock skc_rcv_saddr', 'sk_dport': 'sock skc_dport', 'sk_num': 'sock skc_num',
    'sk_v6_daddr': 'sock skc_v6_daddr', 'sk_v6_rcv_saddr': 'sock skc_v6_rcv_saddr',
}
STRUCT, UNION, VAR, DATASEC = 4, 5, 14, 15


def section(elf, wanted):
    shoff, = struct.unpack_from('<Q', elf, 0x28)
    count, names = struct.unpack_from('<HH', elf, 0x3c)
    headers = [struct.unpack_from('<IIQQQQ', elf, shoff + 64 * i) for i in range(count)]
    for name, _, _, address, offset, size in headers:
        start = headers[names][4] + name
        if elf[start:elf.index(b'\0', start)] == wanted:
            return address, elf[offset:offset + size]
    raise SystemExit('no section ' + wanted.decode())


def read_types(btf):
    magic, _, _, header, type_off, type_len, str_off, _ = struct.unpack_from('<HBBIIIII', btf)
    assert magic == 0xeb9f
    strings = header + str_off

    def text(offset):
        return btf[strings + offset:btf.index(b'\0', strings + offset)].decode()

    types, at, end = [None], header + type_off, header + type_off + type_len
    while at < end:
        name, info, size = struct.unpack_from('<III', btf, at)
        at += 12
        kind, vlen, flag = info >> 24 & 0x1f, info & 0xffff, info >> 31
        rows = []
        if kind in (STRUCT, UNION, DATASEC):
            for i in range(vlen):
                a, b, c = struct.unpack_from('<III', btf, at + 12 * i)
                if kind == DATASEC:
                    rows.append((a, b))
                else:
                    rows.append((text(a), b, c & 0xffffff if flag else c))
        at += {1: 4, 3: 12, STRUCT: 12 * vlen, UNION: 12 * vlen, 6: 8 * vlen, 13: 8 * vlen, VAR: 4,
               DATASEC: 12 * vlen, 17: 4, 19: 12 * vlen}.get(kind, 0)
        types.append((kind, text(name), size, rows))
    return types


def flatten(types, index, base, into, also):
    """All members of a structure with their offsets in bits, those of anonymous members and of `also` included."""
    for name, type_id, bits in types[index][3]:
        into.setdefault(name, base + bits)
        if (not name or name == also) and types[type_id][0] in (STRUCT, UNION):
            flatten(types, type_id, base + bits, into, also)
    return into


def main(path):
    image = open(path, 'rb').read()
    elf = lzma.LZMADecompressor().decompress(image[image.index(b'\xfd7zXZ\0'):])
    types = read_types(section(elf, b'.BTF')[1])
    base = section(elf, b'.data..percpu')[0]
    structs = {t[1]: i for i, t in enumerate(types) if t and t[0] == STRUCT and t[1]}
    percpu = {types[var][1]: offset for t in types if t and t[0] == DATASEC and t[1] == '.data..percpu'
              for var, offset in t[3]}
    if 'current_task' in percpu:
        current = percpu['current_task']
    else:
        current = percpu['pcpu_hot'] + flatten(types, structs['pcpu_hot'], 0, {}, None)['current_task'] // 8
    print('current_task', base + current)
    print('runqueues', base + percpu['runqueues'])
    for field, where in FIELDS.items():
        struct_name, member = where.split()
        print(field, flatten(types, structs[struct_name], 0, {}, '__sk_common')[member] // 8)


main(sys.argv[1])
