"""Makes an OCSP answer that a certificate was good between two times, with the PyPI package `cryptography`.

Usage: ocsp_answer.py CERTIFICATE ISSUER KEY THIS_UPDATE NEXT_UPDATE, the times in ISO 8601. Prints it in base64.
"""

import base64
import sys
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

certificate, issuer = (x509.load_pem_x509_certificate(Path(name).read_bytes()) for name in sys.argv[1:3])
key = serialization.load_pem_private_key(Path(sys.argv[3]).read_bytes(), None)
this_update, next_update = (datetime.fromisoformat(text) for text in sys.argv[4:6])

answer = ocsp.OCSPResponseBuilder().add_response(
    cert=certificate,
    issuer=issuer,
    algorithm=hashes.SHA1(),
    cert_status=ocsp.OCSPCertStatus.GOOD,
    this_update=this_update,
    next_update=next_update,
    revocation_time=None,
    revocation_reason=None,
)
answer = answer.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer).sign(key, hashes.SHA256())
print(base64.b64encode(answer.public_bytes(serialization.Encoding.DER)).decode())
