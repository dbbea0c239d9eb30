"""Files that come without a device protocol: the FTP door for recordings that devices were asked to upload.

Connections of devices enter; bytes go to the transfers of `services`. `ftp_session` is sans-IO.
"""

from __future__ import annotations

import importlib.util

from wayframe.model.addresses import networks
from wayframe.services.fetching import Fetcher

from .drop_folder import DropIntake
from .ftp import FtpIntake, FtpSettings


def sftp_fetcher(allowed: str) -> Fetcher | None:
    """What speaks SFTP; None where the extra [sftp] is not installed.

    `allowed`: comma list of networks that may be dialled although they are not public.
    """
    if importlib.util.find_spec("asyncssh") is None:
        return None
    from .sftp import SftpFetcher  # half a second and an optional dependency

    return SftpFetcher(networks(allowed))


__all__ = ["DropIntake", "FtpIntake", "FtpSettings", "sftp_fetcher"]
