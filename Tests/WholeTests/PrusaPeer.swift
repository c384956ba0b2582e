/// A printer that answers as PrusaLink does, to whoever knows its password by digest (RFC 7616, MD5), played by Python. It
/// reads from the file `phase` in its folder what it does, and prints its port.
let prusaPeer = """
    import hashlib, http.server, json, os, re, sys

    folder = sys.argv[1]
    NONCE = "a1b2c3d4"

    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    def phase():
        try:
            return open(folder + "/phase").read().strip()
        except OSError:
            return "IDLE"

    def printer(state):
        hot = state == "PRINTING"
        return {"state": state, "temp_nozzle": 214.8 if hot else 24.5, "target_nozzle": 215.0 if hot else 0.0,
                "temp_bed": 60.1 if hot else 23.0, "target_bed": 60.0 if hot else 0.0}

    class Printer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def isKnown(self):
            if self.headers.get("X-Api-Key") == "key-of-mk4" and "Authorization" not in self.headers:
                return True
            given = dict(re.findall(r'(\\w+)="?([^",]*)"?', self.headers.get("Authorization") or ""))
            if given.get("username") != "maker":
                return False
            ha1 = md5("maker:Printer API:secret-of-mk4")
            ha2 = md5("GET:" + self.path)
            middle = [NONCE, given.get("nc", ""), given.get("cnonce", ""), "auth"] if "qop" in given else [NONCE]
            return given.get("response") == md5(":".join([ha1] + middle + [ha2]))

        def answer(self, status, body=None, header=None):
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            if header:
                self.send_header("WWW-Authenticate", header)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            if not self.isKnown():
                return self.answer(401, {"title": "401: Unauthorized"},
                                   'Digest realm="Printer API", nonce="' + NONCE + '", qop="auth"')
            state = phase()
            job = {"id": 420, "progress": 12.0, "time_remaining": 5100, "time_printing": 702}
            if self.path == "/api/v1/status":
                body = {"printer": printer(state)}
                if state == "PRINTING":
                    body["job"] = job
                return self.answer(200, body)
            if self.path == "/api/v1/job":
                if state == "IDLE":
                    return self.answer(204)
                file = {"name": "GEHEIM~1.BGC", "display_name": "geheim.bgcode"}
                return self.answer(200, dict(job, state=state, file=file))
            self.answer(404, {"title": "404: Not Found"})

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Printer)
    print("port", server.server_address[1], flush=True)
    server.serve_forever()

    """
