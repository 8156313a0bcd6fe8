"""What a Python program may say to snapctl(1): libsnapctl through ctypes.

    import snapctl

    snapctl.hook("pool", before=pool.close, after=lambda restored: pool.open())
    if snapctl.ready() == snapctl.RESTORED:
        configure(snapctl.env(), snapctl.args())

Without snapctl, ready() returns NOBODY and everything goes on as if it had not been said.
"""
import ctypes
import errno
import os
import random
import sys

RESTORED, WENT_ON, NOBODY = 1, 0, None

_BEFORE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_AFTER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)
_RESEED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_TEXTS = ctypes.POINTER(ctypes.c_char_p)

_lib = ctypes.CDLL(os.environ.get("LIBSNAPCTL", "libsnapctl.so.0"), use_errno=True)
_lib.snapctl_hook.argtypes = [ctypes.c_char_p, _BEFORE, _AFTER, ctypes.c_void_p]
_lib.snapctl_reseed.argtypes = [_RESEED, ctypes.c_void_p]
_lib.snapctl_generation.restype = ctypes.c_char_p
_lib.snapctl_restore_args.restype = _TEXTS
_lib.snapctl_restore_env.restype = _TEXTS
_keep = []  # what C holds a pointer to


class Failed(OSError):
    """The dump did not take place; the program goes on as before."""


def _texts(pointer):
    texts = []
    while pointer[len(texts)] is not None:
        texts.append(os.fsdecode(pointer[len(texts)]))
    return texts


def _said(ret):
    if ret >= 0:
        return ret
    if ret == -errno.ENOTCONN:
        return NOBODY
    raise Failed(-ret, os.strerror(-ret))


def ready():
    """Checkpoint me here: RESTORED, WENT_ON, or NOBODY where no snapctl waits for it."""
    return _said(_lib.snapctl_ready())


def listen(sig=0):
    """Let `snapctl dump --ask PID` ask for a dump; see snapctl_listen() in snapctl.h."""
    _said(_lib.snapctl_listen(int(sig)))


def hook(name, before=None, after=None):
    """before() may raise, which aborts the dump; after(restored) runs when the program goes on."""

    def call_before(_):
        try:
            if before is not None:
                before()
        except OSError as e:
            return e.errno or errno.EIO
        except Exception as e:
            print(f"{name}: {e}", file=sys.stderr)
            return errno.ECANCELED
        return 0

    def call_after(_, restored):
        if after is not None:
            after(bool(restored))

    _keep.extend((_BEFORE(call_before), _AFTER(call_after)))
    if _lib.snapctl_hook(name.encode(), _keep[-2], _keep[-1], None) < 0:
        raise MemoryError


def reseed(function):
    """function(generation) is called in each restored process, before all after hooks, with 16 bytes that no two restores
    share. The module `random` needs no call; decorators may be used: @snapctl.reseed."""

    def call(_, generation):
        function(ctypes.string_at(generation, 16))

    _keep.append(_RESEED(call))
    if _lib.snapctl_reseed(_keep[-1], None) < 0:
        raise MemoryError
    return function


def generation():
    """A UUID that no two restores share; zeroes before the first."""
    return _lib.snapctl_generation().decode()


def args():
    """What followed `--` at the restore."""
    return _texts(_lib.snapctl_restore_args())


def env():
    """What --setenv said at the restore, as a dict."""
    return dict(text.split("=", 1) for text in _texts(_lib.snapctl_restore_env()))


@reseed
def _reseed(generation):
    random.seed(generation + os.urandom(16))
