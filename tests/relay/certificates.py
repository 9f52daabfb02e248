"""A throw-away certificate authority, made with the openssl command."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


def _openssl(place: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=place, check=True, capture_output=True, timeout=150)


def authority(place: Path) -> Path:
    """A new CA in `place`; the path of its certificate."""
    config = "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN=throw-away CA\n"
    config += "[v3]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n"
    (place / "ca.cnf").write_text(config)
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(place, "req", "-x509", *new_key, "-days", "2", "-config", "ca.cnf", "-keyout", "ca.key", "-out", "ca.pem")
    return place / "ca.pem"


def served_as(place: Path, *names: str) -> ssl.SSLContext:
    """A server context whose certificate, by the CA in `place`, is for these names ("DNS:x", "IP:127.0.0.1")."""
    stem = "".join(letter for letter in names[0] if letter.isalnum())
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(place, "req", *new_key, "-subj", "/CN=upstream", "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
    (place / f"{stem}.ext").write_text(f"subjectAltName={','.join(names)}\nauthorityKeyIdentifier=keyid\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{stem}.ext"]
    _openssl(place, "x509", "-req", "-in", f"{stem}.csr", *signing, "-out", f"{stem}.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / f"{stem}.pem", place / f"{stem}.key")
    return context
