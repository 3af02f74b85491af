"""The partitions of keys: those of the Java client, compared with its own test vectors and a plain definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.topics import partition_of, partitioner

ALL = 1 << 31  # as many partitions as there are hashes without their sign bit


def plain_murmur2(key: bytes) -> int:
    """The hash as the Java client's `Utils.murmur2` spells it out, in 32 bits."""
    h = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * 0x5BD1E995 & 0xFFFFFFFF
        k = (k ^ (k >> 24)) * 0x5BD1E995 & 0xFFFFFFFF
        h = (h * 0x5BD1E995 & 0xFFFFFFFF) ^ k
    if len(key) & 3:
        h = (h ^ int.from_bytes(key[whole:], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ (h >> 13)) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ (h >> 15)


@pytest.mark.parametrize(
    ("key", "java"),
    [  # org.apache.kafka.common.utils.UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_lie_where_the_java_client_puts_them(key: bytes, java: int) -> None:
    assert partition_of(key, ALL) == java & 0x7FFFFFFF
    assert partition_of(key, 12) == (java & 0x7FFFFFFF) % 12


@given(st.binary(max_size=200), st.integers(1, 1000))
def test_every_key_lies_where_the_plain_definition_puts_it(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (plain_murmur2(key) & 0x7FFFFFFF) % partitions
    assert partitioner(partitions)(key) == partition_of(key, partitions)
