"""What ends within some days, of everybody whom the token may see; those whose renewal nobody has ordered are renewed by hand.

    GATESMITH_URL=http://127.0.0.1:4000 GATESMITH_TOKEN=$(cat .gatesmith/token) python3 examples/python/expiring.py 30
"""

import os
import sys

from gatesmith import Gatesmith, Problem

api = Gatesmith(os.environ["GATESMITH_URL"], os.environ["GATESMITH_TOKEN"])
days = int(sys.argv[1]) if len(sys.argv) > 1 else 30
failed = False

# All of them before the first is renewed: what takes the place of a short one ends within these days, too.
ending = list(api.pages("listCertificates", status="active", expiringWithin=f"P{days}D", sort="notAfter", limit=100))
for certificate in ending:
    names = ", ".join(certificate["dnsNames"]) or certificate["subject"].get("commonName", "")
    print(f"{certificate['notAfter']}  {certificate['tenant']}  {names}", end="")
    if certificate["autoRenew"] or certificate["replacedBy"]:
        print("  renews by itself" if certificate["autoRenew"] else "  has been renewed")
        continue
    try:
        renewed = api.call("renewTenantCertificate", {}, tenant=certificate["tenant"], id=certificate["id"])
        print(f"  renewed until {renewed['notAfter']}")
    except Problem as problem:
        failed = True
        print(f"  {problem.type}: {problem}")

sys.exit(1 if failed else 0)
