"""What can go wrong with media, each with a sentence a person can act on."""

from __future__ import annotations


class MediaError(Exception):
    """Root of everything this room raises on purpose."""


class BadParameterSet(MediaError):
    """An SPS or AudioSpecificConfig that cannot be read, or claims an impossible picture."""


class EmptyRecording(MediaError):
    """A recording was finished although no key frame with parameter sets ever arrived."""


class UnreadableMedia(MediaError):
    """The file's content is damaged, of an unknown kind, or beyond the configured limits."""


class MediaUnavailable(MediaError):
    """The job needs PyAV, which comes with the extra ``wayframe[media]``, or the pool is not running."""


class WorkersBusy(MediaError):
    """The bounded job queue is full; trying again later is right."""


class WorkerFailed(MediaError):
    """The worker process died or ran out of time while doing the job."""


class NoConversionSlot(MediaError):
    """All live conversions this node allows are in use."""
