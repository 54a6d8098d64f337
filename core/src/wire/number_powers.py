# SPDX-License-Identifier: Apache-2.0
"""Writes number_powers.c: python3 number_powers.py > number_powers.c"""

FIRST, LAST = -342, 324


def power(exponent: int) -> int:
    """The 128 leading bits of 10**exponent, rounded up."""
    top, bottom = (10**exponent, 1) if exponent >= 0 else (1, 10**-exponent)
    shift = 127 - (top.bit_length() - bottom.bit_length())
    while True:
        scaled_top = top << shift if shift >= 0 else top
        scaled_bottom = bottom if shift >= 0 else bottom << -shift
        floor = scaled_top // scaled_bottom
        if floor < 1 << 127:
            shift += 1
        elif floor >= 1 << 128:
            shift -= 1
        else:
            break
    ceiling = -(-scaled_top // scaled_bottom)
    assert 1 << 127 <= ceiling < 1 << 128
    return ceiling


def main() -> None:
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Powers of ten, made by number_powers.py with exact integers;", end="")
    print(" the story is in the header. */")
    print('#include "wire/number_powers.h"\n')
    print("/* clang-format off */")
    print("const struct number_power number_powers[NUMBER_POWER_LAST - NUMBER_POWER_FIRST + 1] = {")
    for exponent in range(FIRST, LAST + 1):
        bits = power(exponent)
        print(f"    {{0x{bits >> 64:016x}u, 0x{bits & (1 << 64) - 1:016x}u}}, /* 1e{exponent} */")
    print("};")
    print("/* clang-format on */")


main()
