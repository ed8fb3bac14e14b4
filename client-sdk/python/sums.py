"""xxh3_64 (seed 0) and crc32c in plain Python: the two sums of the Antiphon protocol."""

import struct

_MASK = (1 << 64) - 1
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8"
    "fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb17"
    "0ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
_P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
_P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def _u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def _u32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def _fold(a, b):
    product = a * b
    return (product & _MASK) ^ (product >> 64)


def _rotate(value, bits):
    return ((value << bits) | (value >> (64 - bits))) & _MASK


def _swap(value):
    return int.from_bytes(value.to_bytes(8, "little"), "big")


def _avalanche(h):
    h ^= h >> 37
    h = h * 0x165667919E3779F9 & _MASK
    return h ^ (h >> 32)


def _avalanche64(h):
    h ^= h >> 33
    h = h * _P64[1] & _MASK
    h ^= h >> 29
    h = h * _P64[2] & _MASK
    return h ^ (h >> 32)


def _mix(data, at, secret_at):
    return _fold(_u64(data, at) ^ _u64(_SECRET, secret_at), _u64(data, at + 8) ^ _u64(_SECRET, secret_at + 8))


def _short(data):
    size = len(data)
    if size == 0:
        return _avalanche64(_u64(_SECRET, 56) ^ _u64(_SECRET, 64))
    if size <= 3:
        mixed = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
        return _avalanche64(mixed ^ _u32(_SECRET, 0) ^ _u32(_SECRET, 4))
    if size <= 8:
        h = (_u32(data, size - 4) + (_u32(data, 0) << 32)) ^ _u64(_SECRET, 8) ^ _u64(_SECRET, 16)
        h ^= _rotate(h, 49) ^ _rotate(h, 24)
        h = h * 0x9FB21C651E98DF25 & _MASK
        h ^= (h >> 35) + size
        h = h * 0x9FB21C651E98DF25 & _MASK
        return h ^ (h >> 28)
    low = _u64(data, 0) ^ _u64(_SECRET, 24) ^ _u64(_SECRET, 32)
    high = _u64(data, size - 8) ^ _u64(_SECRET, 40) ^ _u64(_SECRET, 48)
    return _avalanche((size + _swap(low) + high + _fold(low, high)) & _MASK)


def _middle(data):
    size = len(data)
    sum_ = size * _P64[0]
    if size <= 128:
        for pair in range((size - 1) // 32 + 1):
            sum_ += _mix(data, 16 * pair, 32 * pair) + _mix(data, size - 16 - 16 * pair, 32 * pair + 16)
        return _avalanche(sum_ & _MASK)
    for lane in range(8):
        sum_ += _mix(data, 16 * lane, 16 * lane)
    sum_ = _avalanche(sum_ & _MASK)
    for lane in range(8, size // 16):
        sum_ += _mix(data, 16 * lane, 16 * (lane - 8) + 3)
    return _avalanche((sum_ + _mix(data, size - 16, 119)) & _MASK)


def _long(data):
    size = len(data)
    sums = [_P32[2], _P64[0], _P64[1], _P64[2], _P64[3], _P32[1], _P64[4], _P32[0]]

    def stripe(at, secret_at):
        values = struct.unpack_from("<8Q", data, at)
        keys = struct.unpack_from("<8Q", _SECRET, secret_at)
        for lane in range(8):
            key = values[lane] ^ keys[lane]
            sums[lane ^ 1] = (sums[lane ^ 1] + values[lane]) & _MASK
            sums[lane] = (sums[lane] + (key & 0xFFFFFFFF) * (key >> 32)) & _MASK

    blocks = (size - 1) // 1024
    for block in range(blocks):
        for n in range(16):
            stripe(1024 * block + 64 * n, 8 * n)
        for lane in range(8):
            value = sums[lane]
            sums[lane] = (value ^ (value >> 47) ^ _u64(_SECRET, 128 + 8 * lane)) * _P32[0] & _MASK
    for n in range((size - 1 - 1024 * blocks) // 64):
        stripe(1024 * blocks + 64 * n, 8 * n)
    stripe(size - 64, 121)
    result = size * _P64[0]
    for pair in range(4):
        keys = _u64(_SECRET, 11 + 16 * pair), _u64(_SECRET, 19 + 16 * pair)
        result += _fold(sums[2 * pair] ^ keys[0], sums[2 * pair + 1] ^ keys[1])
    return _avalanche(result & _MASK)


def xxh3_64(data):
    """The 64-bit XXH3 of `data`, as docs/protocol.md uses it for slots and links."""
    if len(data) <= 16:
        return _short(data)
    return _middle(data) if len(data) <= 240 else _long(data)


def _table():
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


_CRC = tuple(_table())


def crc32c(data):
    """The Castagnoli crc of `data`."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
