"""Names as Numerai gives them: features of two adjectives and a noun, targets with days."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from numerai_kedro.files import digest_bytes

ADJECTIVES = (
    "agile ample amber ancient avid azure bold brave brisk bright calm candid chief civil clear "
    "clever cosmic crisp curly daring deep dusty eager early easy elder even exact fair famed "
    "fast fierce final fine firm fleet fluent fond frank fresh frozen gentle giant glad golden "
    "grand green happy hardy hasty hidden honest humble ideal inner ivory jolly keen kind known "
    "large late level light little lively loyal lucid lunar major mellow merry mild minor misty "
    "modern narrow neat noble novel oaken olive open outer pale plain prime proper proud pure "
    "quick quiet rapid rare ready regal rich rigid ripe round royal rural rustic sandy secret "
    "serene sharp shy silent simple sincere sleek slow smart smooth sober solar solid sound spare "
    "stable steady"
).split()
NOUNS = (
    "acorn anchor arbor aspen badger basin beacon birch bison brook canyon cedar cliff cloud "
    "comet coral cove crane creek delta dune eagle ember falcon fern field finch fjord forest fox "
    "garden geyser glade grove gull harbor hawk hazel heron hill island ivy jasper kestrel lagoon "
    "lake lark laurel lichen lynx maple marsh meadow mesa moss oak orchid osprey otter owl peak "
    "pebble pine plover pond poplar quartz rapids raven reef ridge river robin rowan sage shore "
    "sparrow spring"
).split()
TARGET_NAMES = (
    "agnes alpha bravo caroline charlie claudia cyrusd delta echo ender jasper jeremy ralph rowan "
    "sam teager2b tyler victor waldo xerxes"
).split()
HORIZONS = (20, 60)
PAID_TARGET = "target_ender_60"
ALIAS = "target"

# Named groups with their sizes in v5.2, which give their proportions here.
GROUPS = {
    "constitution": 335,
    "charisma": 290,
    "agility": 145,
    "wisdom": 140,
    "strength": 135,
    "serenity": 95,
    "dexterity": 51,
    "intelligence": 35,
}
# Releases of new features, with their sizes in v5.3; what is left is the oldest. They cut across
# the groups, and each feature came with one of them; quantum is the newest.
RELEASES = {"sunshine": 325, "rain": 666, "midnight": 244, "faith": 372, "quantum": 807}
# Subsets of the oldest release, and two drawn from all: in v5.3 small is no part of medium.
OLDEST_SETS = {
    "v2_equivalent_features": 304,
    "v3_equivalent_features": 1_000,
    "fncv3_features": 400,
}
DRAWN_SETS = {"small": 42, "medium": 780}
ALL_FEATURES = 3_555
SMALLEST_SET = 4
# From here on `small` has a feature of every group; the size `tiny` has fewer.
ENOUGH_FEATURES = 100

# Odd multipliers of the splitmix64 finaliser; ids have 60 bits, where all steps are one to one.
MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
ID_BITS = 60


def feature_names(n_features: int, rng: np.random.Generator) -> list[str]:
    """Distinct names in alphabetical order."""
    n_all = len(ADJECTIVES) ** 2 * len(NOUNS)
    names = []
    for code in rng.choice(n_all, size=n_features, replace=False):
        pair, noun = divmod(int(code), len(NOUNS))
        first, second = divmod(pair, len(ADJECTIVES))
        names.append(f"feature_{ADJECTIVES[first]}_{ADJECTIVES[second]}_{NOUNS[noun]}")
    return sorted(names)


def target_names() -> list[str]:
    """The 41 target columns in the file's order; the alias comes first."""
    return [ALIAS] + [f"target_{name}_{days}" for name in TARGET_NAMES for days in HORIZONS]


def feature_sets(
    names: list[str], groups: npt.NDArray[np.intp], rng: np.random.Generator
) -> dict[str, list[str]]:
    """The 19 sets of features.json, scaled to the number of features.

    Parameters
    ----------
    names
        All features, in alphabetical order.
    groups : int[n_features]
        Number of each feature's group; -1 for none.
    """
    array = np.array(names)
    n = len(names)
    shuffled = rng.permutation(n)
    sets = {"all": np.arange(n)}
    begin = 0
    for name, size in RELEASES.items():
        sets[name] = shuffled[begin : begin + _scaled(size, n)]
        begin += len(sets[name])
    for name, size in OLDEST_SETS.items():
        sets[name] = rng.permutation(shuffled[begin:])[: _scaled(size, n)]
    for name, size in DRAWN_SETS.items():
        sets[name] = rng.permutation(n)[: _scaled(size, n)]
    for number, name in enumerate(GROUPS):
        sets[name] = np.flatnonzero(groups == number)
    if n >= ENOUGH_FEATURES:  # official examples look at what `small` and a group have in common
        firsts = np.concatenate([sets[name][:1] for name in GROUPS])
        remaining = np.setdiff1d(sets["small"], firsts)
        sets["small"] = np.append(firsts, remaining[: max(0, len(sets["small"]) - len(firsts))])
    return {name: array[np.sort(members)].tolist() for name, members in sets.items()}


def _scaled(size: int, n_features: int) -> int:
    return max(SMALLEST_SET, round(size * n_features / ALL_FEATURES))


def stock_ids(
    seed: int, era: int, salt: str, identities: npt.NDArray[np.int64]
) -> npt.NDArray[np.str_]:
    """Each stock's "n" and 15 hexadecimal digits: unique in an era, no history across eras.

    Parameters
    ----------
    salt
        The round for live rows, whose ids change every round.
    identities : int64[n]
        Distinct, below 2**60.

    Returns
    -------
    str[n]
        A keyed permutation of the 60-bit numbers, so that two stocks never share an id in an era.
    """
    mask = np.uint64(2**ID_BITS - 1)
    key = int(digest_bytes(f"{seed}/{era}/{salt}".encode()), 16)
    mixed = (identities.astype(np.uint64) + np.uint64(key % 2**ID_BITS)) & mask
    for multiplier in MULTIPLIERS:
        mixed ^= mixed >> np.uint64(31)
        mixed = (mixed * multiplier) & mask
        mixed ^= np.uint64(key >> 64) & mask
    mixed ^= mixed >> np.uint64(29)
    digits = np.frombuffer(mixed.astype(">u8").tobytes().hex().encode(), dtype="S1").copy()
    digits[:: digits.size // len(mixed)] = b"n"  # the first of 16 digits is 0: 60 bits need 15
    return digits.view("S16").astype(np.str_)
