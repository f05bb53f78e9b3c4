# SPDX-License-Identifier: Apache-2.0
"""Accounts and delegations of a suite's own: files bound over those of /etc,
in the suite's own mounts (harness.own_mounts()).
"""
import os
import shutil
import subprocess
import tempfile


class OwnEtc:
    """put({"passwd": text, ...}) for setUpModule, back() for tearDownModule."""

    def __init__(self):
        self.folder = None
        self.names = ()

    def put(self, files):
        self.folder = tempfile.mkdtemp(prefix="nsxetc-")
        os.chmod(self.folder, 0o755)
        self.names = tuple(files)
        for name, text in files.items():
            path = os.path.join(self.folder, name)
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            subprocess.run(["mount", "--bind", path, "/etc/" + name],
                           check=True)

    def back(self):
        for name in self.names:
            subprocess.run(["umount", "/etc/" + name], check=False)
        shutil.rmtree(self.folder)
