"""Names as Numerai gives them: features of two adjectives and a noun, targets with days."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

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

# Named groups of v5.2 with their sizes; together they hold most features.
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
# Sets that cut across the groups, with their sizes in v5.3 (of 3,555 features).
SETS = {
    "small": 42,
    "medium": 780,
    "quantum": 807,
    "faith": 372,
    "midnight": 244,
    "rain": 666,
    "sunshine": 325,
    "v2_equivalent_features": 304,
    "v3_equivalent_features": 1000,
    "fncv3_features": 400,
}
ALL_FEATURES = 3_555
SMALLEST_SET = 4


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
        All features.
    groups : int[n_features]
        Number of each feature's group; -1 for none.
    """
    array = np.array(names)
    sets = {"all": list(names)}
    for name, size in SETS.items():
        scaled = max(SMALLEST_SET, round(size * len(names) / ALL_FEATURES))
        sets[name] = sorted(rng.choice(array, size=scaled, replace=False).tolist())
    for number, name in enumerate(GROUPS):
        sets[name] = array[groups == number].tolist()
    return sets


def stock_ids(
    seed: int, era: int, salt: str, identities: npt.NDArray[np.int64]
) -> npt.NDArray[np.str_]:
    """Each stock's "n" and 15 hexadecimal digits: unique in an era, no history across eras."""
    prefix = f"{seed}/{era}/{salt}/"
    return np.array(
        [
            "n" + hashlib.blake2b(f"{prefix}{stock}".encode(), digest_size=8).hexdigest()[:15]
            for stock in identities
        ]
    )
