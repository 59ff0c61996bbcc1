"""A client of Gatesmith, made of the contract that the service itself serves (/openapi.json). Python 3.9 or later, nothing else.

    api = Gatesmith("http://127.0.0.1:4000", token)
    api.call("createTenantCertificate", {"profile": "server", "dnsNames": ["a.example.com"]}, tenant="example")
    for certificate in api.pages("listCertificates", expiringWithin="P30D"): ...

Every operation of the contract is called by its operationId, with the parameters that it names there.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid


class Problem(Exception):
    """What the service refuses (RFC 9457). `type` is the stable word to branch on, such as "tenant-unknown"."""

    def __init__(self, document):
        super().__init__(f"{document['title']}: {document['detail']}")
        self.type = document["type"].rsplit("/", 1)[-1]
        self.status = document["status"]
        self.document = document


class Gatesmith:
    def __init__(self, url, token, tries=5):
        self.url, self.token, self.tries = url.rstrip("/"), token, tries
        self.contract = json.loads(self._ask("GET", "/openapi.json"))
        self.operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, item in self.contract["paths"].items()
            for method, operation in item.items()
            if isinstance(operation, dict) and "operationId" in operation
        }

    def call(self, name, body=None, **parameters):
        """Calls an operation. Answers its JSON, its text where it is none, or None. Throws Problem."""
        method, path, operation = self.operations[name]
        query, headers = {}, {}
        for parameter in map(self._resolved, operation.get("parameters", [])):
            key = parameter["name"]
            if key == "Idempotency-Key":
                # With it a lost answer is asked for again, and done once.
                headers[key] = str(uuid.uuid4())
            value = parameters.pop(key, None)
            if value is None:
                continue
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if parameter["in"] == "path":
                path = path.replace("{" + key + "}", urllib.parse.quote(text, safe=""))
            elif parameter["in"] == "query":
                query[key] = text
            else:
                headers[key] = text
        if parameters:
            raise TypeError(f"{name} has no parameter {', '.join(parameters)}")
        if "{" in path:
            raise TypeError(f"{name} needs {path}")
        if query:
            path += "?" + urllib.parse.urlencode(query)
        safe = method in ("GET", "PUT", "DELETE") or "Idempotency-Key" in headers
        answer = self._ask(method, path, body, headers, safe)
        try:
            return json.loads(answer) if answer else None
        except ValueError:
            return answer.decode()

    def pages(self, name, **parameters):
        """Every item of a list, page by page."""
        while True:
            page = self.call(name, **parameters)
            yield from page["items"]
            if page["nextCursor"] is None:
                return
            parameters["cursor"] = page["nextCursor"]

    def _resolved(self, parameter):
        reference = parameter.get("$ref")
        return self.contract["components"]["parameters"][reference.rsplit("/", 1)[-1]] if reference else parameter

    def _ask(self, method, path, body=None, headers=None, safe=True):
        """Asks again, when it was told to (Retry-After) or the connection was lost, where that does no harm."""
        head = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        data = None
        if body is not None:
            data, head["Content-Type"] = json.dumps(body).encode(), "application/json"
        for left in reversed(range(self.tries if safe else 1)):
            request = urllib.request.Request(self.url + path, data, head, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.read()
            except urllib.error.HTTPError as refused:
                text = refused.read()
                again = refused.headers.get("Retry-After", "")
                if left == 0 or refused.code not in (429, 503) or not again.isdigit():
                    raise Problem(json.loads(text)) from None
                time.sleep(min(int(again), 30))
            except urllib.error.URLError:
                if left == 0:
                    raise
                time.sleep(1)
