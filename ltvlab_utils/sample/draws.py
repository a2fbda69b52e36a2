"""Random numbers by key: the same (seed, who, path, what, count) gives the same number, whoever else is drawn.

A counter-based generator (SplitMix64's finaliser over keys; Steele, Lea & Flood 2014) in place of a stream: a
customer's future does not depend on who shares its block, and two futures that differ by one decision share every
number that the decision does not touch (common random numbers), however many draws either of them needs.
"""

from __future__ import annotations

import zlib

import numpy as np
from scipy.special import ndtri

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_STEP = 2.0**-52


def mixed(key: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 on unsigned 64-bit keys."""
    z = key ^ (key >> np.uint64(30))
    z *= _M1
    z ^= z >> np.uint64(27)
    z *= _M2
    z ^= z >> np.uint64(31)
    return z


def salt(name: str) -> np.uint64:
    """A number for a purpose: the same on every machine and in every version of Python."""
    return mixed(np.array([zlib.crc32(name.encode())], dtype=np.uint64) * _GOLDEN)[0]


def keys(seed: int, name: str, *numbers: np.ndarray | int) -> np.ndarray:
    """Keys of shape broadcast(numbers) from a seed, a purpose and any number of non-negative integers."""
    with np.errstate(over="ignore"):
        key = mixed(np.array(seed, dtype=np.uint64) * _GOLDEN + salt(name))
        for number in numbers:
            key = mixed(key + (np.asarray(number).astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return key


def below(key: np.ndarray, name: str, count: np.ndarray | int = 0) -> np.ndarray:
    """Uniform numbers in (0, 1), never its ends, for a purpose and the count of its use."""
    with np.errstate(over="ignore"):
        z = mixed(key + salt(name) + (np.asarray(count).astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return ((z >> np.uint64(12)).astype(np.float64) + 0.5) * _STEP


def normal(key: np.ndarray, name: str, count: np.ndarray | int = 0) -> np.ndarray:
    """Standard normal numbers for a purpose and the count of its use."""
    return ndtri(below(key, name, count))


def stream(seed: int, name: str) -> np.random.Generator:
    """An ordinary generator of its own for a purpose: for what never enters a comparison of two futures."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
