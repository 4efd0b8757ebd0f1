# SPDX-License-Identifier: Apache-2.0
"""Latency distributions as an SVG: one panel each, latency (logarithmic) over the share of all that took longer."""
import math

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 560, 300, 62, 30, 16, 40
COLOURS = ["#888888", "#1b7837", "#7fbf7b", "#2166ac", "#b2182b"]
MARKS = [50, 90, 99, 99.9]


def nines(percent):
    """The horizontal place: equal steps for 90, 99, 99.9 per cent."""
    return -math.log10(1 - min(percent, 99.95) / 100)


def text(x, y, what, anchor="middle", size=11, colour="#222222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{what}</text>'


def panel(title, series, column, row):
    values = [value for _, points in series for percent, value in points if value > 0 and percent < 100]
    if not values:
        return []
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x = lambda percent: LEFT + inner_width * nines(percent) / nines(99.95)  # noqa: E731
    y = lambda value: TOP + inner_height * (high - math.log10(max(value, 1e-9))) / (high - low)  # noqa: E731
    out = [f'<g transform="translate({column * WIDTH},{row * HEIGHT})">', text(LEFT, 18, title, "start", 13)]
    for power in range(low, high + 1):
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(10 ** power):.1f}" y2="{y(10 ** power):.1f}" stroke="#dddddd"/>')
        out.append(text(LEFT - 6, y(10 ** power) + 4, f"{10 ** power:g} us" if power < 3 else f"{10 ** (power - 3):g} ms", "end"))
    for percent in MARKS:
        out.append(f'<line x1="{x(percent):.1f}" x2="{x(percent):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#eeeeee"/>')
        out.append(text(x(percent), HEIGHT - BOTTOM + 15, f"p{percent:g}"))
    for number, (name, points) in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x(percent):.1f},{y(value):.1f}" for percent, value in points if value > 0 and percent < 100)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        out.append(text(LEFT + 8 + number * 98, HEIGHT - 8, name, "start", 11, colour))
    return out + ["</g>"]


def draw(panels):
    rows = (len(panels) + 2) // 3
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{3 * WIDTH}" height="{max(rows, 1) * HEIGHT}" font-family="sans-serif">',
           '<rect width="100%" height="100%" fill="white"/>']
    for number, (title, series) in enumerate(panels):
        out += panel(title, series, number % 3, number // 3)
    return "\n".join(out + ["</svg>"]) + "\n"
