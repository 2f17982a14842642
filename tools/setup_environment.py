"""Make or renew .venv; runs on any Python 3, so that an old one is told what is missing.

    python3 tools/setup_environment.py      GPU=0|1 overrides what is found

Nothing to do takes a fraction of a second: a stamp holds the digest of pyproject.toml, of this
file, and the choice of cpu or gpu.
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, ".numerai_kedro")
OLDEST = (3, 11)
# Measured on an empty pip cache, 2026-11; with CUDA torch and xgboost bring its libraries.
DOWNLOAD_MB = {"cpu": 580, "gpu": 3800}
DISK_MB = {"cpu": 2700, "gpu": 9000}
WITH_CUDA = ", or 3300 MB and 8 GB where the package index has torch with CUDA only (README)"


def main():
    """Check what is needed, then install, unless the stamp says that nothing changed."""
    if sys.version_info < OLDEST:
        fail(
            "Python %d.%d is too old, 3.11 or newer is needed: on Debian or Ubuntu "
            "'apt-get install python3.11 python3.11-venv', then make PYTHON=python3.11 ..."
            % sys.version_info[:2]
        )
    extra = "gpu" if wants_gpu() else "cpu"
    stamp = wanted_stamp(extra)
    if read(STAMP) == stamp and os.path.exists(os.path.join(VENV, "bin", "kedro")):
        return
    check_machine(extra)
    say("setting up .venv with the extra '%s'" % extra)
    need = "downloads about %d MB, takes about %d MB of disk" % (DOWNLOAD_MB[extra], DISK_MB[extra])
    say(need + (WITH_CUDA if extra == "cpu" else ""))
    make_venv()
    install(extra)
    with open(STAMP + ".partial", "w") as handle:
        handle.write(stamp)
    os.replace(STAMP + ".partial", STAMP)
    say("done")


def wants_gpu():
    """GPU=0|1, else whether an NVIDIA driver is loaded."""
    chosen = os.environ.get("GPU", "")
    if chosen not in ("", "0", "1"):
        fail(
            "GPU=%s is not understood: GPU=1 installs for an NVIDIA card, GPU=0 does not." % chosen
        )
    if chosen:
        return chosen == "1"
    return os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None


def wanted_stamp(extra):
    """What the environment is made of."""
    digest = hashlib.sha256()
    for name in (os.path.join(ROOT, "pyproject.toml"), os.path.abspath(__file__)):
        with open(name, "rb") as handle:
            digest.update(handle.read())
    return "%s %s %d.%d" % (digest.hexdigest(), extra, sys.version_info[0], sys.version_info[1])


def check_machine(extra):
    """One clear sentence for whatever is missing, before anything is downloaded."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = "%d.%d" % sys.version_info[:2]
        fail("Python's venv module is missing: 'apt-get install python%s-venv'." % version)
    if not has_libgomp():
        fail("LightGBM needs libgomp, which is missing: 'apt-get install libgomp1'.")
    free_mb = shutil.disk_usage(ROOT).free // 2**20
    if free_mb < DISK_MB[extra]:
        fail(
            "the disk of %s has %d MB free, the packages need about %d MB: free some first."
            % (ROOT, free_mb, DISK_MB[extra])
        )


def has_libgomp():
    """Whether the dynamic loader finds it."""
    import ctypes

    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return False
    return True


def make_venv():
    """Create .venv, or keep the one that works."""
    python = os.path.join(VENV, "bin", "python")
    works = os.path.exists(python) and subprocess.call([python, "-c", "import pip"]) == 0
    if not works:
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", VENV])


def install(extra):
    """Install the project in place; the two xgboost packages exclude each other."""
    python = os.path.join(VENV, "bin", "python")
    other = "xgboost" if extra == "cpu" else "xgboost-cpu"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    installed = subprocess.run(pip + ["show", "-q", other], stderr=subprocess.DEVNULL)
    if installed.returncode == 0:
        subprocess.check_call(pip + ["uninstall", "-y", other, "xgboost", "xgboost-cpu"])
    command = pip + ["install", "-e", "%s[%s,dev]" % (ROOT, extra)]
    if not sys.stdout.isatty():
        command.append("-q")
    if subprocess.call(command) != 0:
        fail(
            "pip could not install the packages (its own words are above): check the network, a "
            "proxy (HTTPS_PROXY) and the disk, then run the same command again; it continues."
        )


def read(path):
    """Content, or nothing."""
    try:
        with open(path) as handle:
            return handle.read()
    except OSError:
        return ""


def say(text):
    """One line."""
    print("setup: " + text, flush=True)


def fail(text):
    """End with a sentence."""
    sys.exit("setup: " + text)


if __name__ == "__main__":
    main()
