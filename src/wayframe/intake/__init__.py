"""Files that come without a device protocol: the FTP door for recordings that devices were asked to upload.

Connections of devices enter; bytes go to the transfers of `services`. `ftp_session` is sans-IO.
"""

from .ftp import FtpIntake, FtpSettings

__all__ = ["FtpIntake", "FtpSettings"]
