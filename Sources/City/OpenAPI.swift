// The collector's interface as an OpenAPI document, served at /v1/openapi.json.

package enum OpenAPI {
    /// OpenAPI 3.1 as JSON.
    package static let document = #"""
        {
          "openapi": "3.1.0",
          "info": {
            "title": "fabcity collector",
            "version": "1",
            "description": "Takes rollups of maker spaces and gives them back. A window is known by lab, grain and start; (epoch, revision) decides which content is newer."
          },
          "paths": {
            "/v1/rollups": {
              "post": {
                "summary": "Send rollups. What the answer says was stored is on the disk.",
                "security": [{"token": []}],
                "requestBody": {
                  "required": true,
                  "description": "At most 500 items and 1 MiB unpacked; Content-Encoding: gzip is welcome.",
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Push"}}}
                },
                "responses": {
                  "200": {"description": "Every item is held in this version or a newer one.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Results"}}}},
                  "207": {"description": "At least one item is a conflict or rejected; the others are stored.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Results"}}}},
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              },
              "get": {
                "summary": "Stored rollups by start, lab and grain.",
                "security": [{"token": []}, {}],
                "parameters": [
                  {"$ref": "#/components/parameters/lab"}, {"$ref": "#/components/parameters/grain"},
                  {"$ref": "#/components/parameters/from"}, {"$ref": "#/components/parameters/to"},
                  {"name": "format", "in": "query", "schema": {"enum": ["json", "csv"], "default": "json"}},
                  {"name": "detail", "in": "query", "description": "What a line of CSV stands for.", "schema": {"enum": ["total", "class", "machine"], "default": "total"}},
                  {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 5000, "default": 5000}},
                  {"name": "after", "in": "query", "description": "What `next` (JSON) or the header X-Next (CSV) said.", "schema": {"type": "string"}}
                ],
                "responses": {
                  "200": {
                    "description": "A page of windows. CSV: an empty cell is unknown or withheld.",
                    "content": {
                      "application/json": {"schema": {"$ref": "#/components/schemas/Page"}},
                      "text/csv": {"schema": {"type": "string"}}
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/labs/{lab}/rollups/summary": {
              "get": {
                "summary": "Version and digest of each window of a lab, to compare with what the gateway holds.",
                "security": [{"token": []}, {}],
                "parameters": [
                  {"name": "lab", "in": "path", "required": true, "schema": {"type": "string"}},
                  {"$ref": "#/components/parameters/grain"}, {"$ref": "#/components/parameters/from"},
                  {"$ref": "#/components/parameters/to"}
                ],
                "responses": {
                  "200": {"description": "By start.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Summary"}}}},
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/labs": {
              "get": {"summary": "Enrolled labs.", "security": [{"token": []}, {}], "responses": {"200": {"description": "By id.", "content": {"application/json": {"schema": {"type": "object"}}}}, "default": {"$ref": "#/components/responses/Problem"}}}
            },
            "/v1/capabilities": {
              "get": {"summary": "Accepted schemas, grains and limits.", "responses": {"200": {"description": "Fixed for a release.", "content": {"application/json": {"schema": {"type": "object"}}}}}}
            },
            "/v1/openapi.json": {
              "get": {"summary": "This document.", "responses": {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}}}}
            },
            "/metrics": {
              "get": {"summary": "Prometheus text.", "security": [{"token": []}, {}], "responses": {"200": {"description": "Text format 0.0.4.", "content": {"text/plain": {"schema": {"type": "string"}}}}, "default": {"$ref": "#/components/responses/Problem"}}}
            },
            "/healthz": {
              "get": {"summary": "Whether the book can be read.", "responses": {"200": {"description": "It can.", "content": {"application/json": {"schema": {"type": "object"}}}}, "default": {"$ref": "#/components/responses/Problem"}}}
            },
            "/": {
              "get": {"summary": "The city's page.", "responses": {"200": {"description": "HTML.", "content": {"text/html": {"schema": {"type": "string"}}}}}}
            }
          },
          "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A lab's token, or the city's read token. From the collector's own machine reading needs none unless a read token is set."}},
            "parameters": {
              "lab": {"name": "lab", "in": "query", "schema": {"type": "string"}},
              "grain": {"name": "grain", "in": "query", "schema": {"enum": ["PT1H", "P1D"]}},
              "from": {"name": "from", "in": "query", "description": "Windows that start at or after: RFC 3339, a date, now, today, -2h, -7d.", "schema": {"type": "string"}},
              "to": {"name": "to", "in": "query", "description": "Windows that start before.", "schema": {"type": "string"}}
            },
            "responses": {
              "Problem": {"description": "RFC 9457; nothing was stored.", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
            },
            "schemas": {
              "Problem": {"type": "object", "properties": {"type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}}},
              "Push": {
                "type": "object", "required": ["schema", "items"],
                "properties": {
                  "schema": {"const": "fablab.rollup/1"},
                  "items": {"type": "array", "maxItems": 500, "items": {"$ref": "#/components/schemas/Item"}}
                }
              },
              "Item": {
                "type": "object", "required": ["digest", "rollup"],
                "properties": {
                  "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the RFC 8785 form of rollup without emitted."},
                  "rollup": {"$ref": "#/components/schemas/Rollup"}
                }
              },
              "Rollup": {
                "type": "object",
                "required": ["lab", "grain", "start", "end", "duration_s", "tz", "local_date", "epoch", "revision", "final", "totals"],
                "properties": {
                  "lab": {"type": "string", "pattern": "^urn:"}, "grain": {"enum": ["PT1H", "P1D"]},
                  "start": {"$ref": "#/components/schemas/Time"}, "end": {"$ref": "#/components/schemas/Time"},
                  "duration_s": {"type": "number", "minimum": 0}, "tz": {"type": "string"},
                  "local_date": {"type": "string", "format": "date"},
                  "epoch": {"type": "integer", "minimum": 1}, "revision": {"type": "integer", "minimum": 1},
                  "final": {"type": "boolean"}, "emitted": {"$ref": "#/components/schemas/Time"},
                  "coverage": {"type": "object", "additionalProperties": {"type": ["number", "null"], "minimum": 0, "maximum": 1}},
                  "late_dropped": {"type": "integer", "minimum": 0}, "open_s": {"type": ["integer", "null"], "minimum": 0},
                  "totals": {"$ref": "#/components/schemas/Totals"},
                  "classes": {"type": "array", "items": {"$ref": "#/components/schemas/Totals"}},
                  "machines": {"type": "array", "items": {"$ref": "#/components/schemas/Totals"}},
                  "suppressed": {"type": "array", "items": {"type": "string"}},
                  "source": {"type": "object"}
                }
              },
              "Time": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$"},
              "Totals": {
                "type": "object", "required": ["states_s"],
                "properties": {
                  "states_s": {"type": "object", "required": ["unknown", "offline", "idle", "preparing", "running", "paused", "blocked", "fault", "maintenance"], "additionalProperties": {"type": "number", "minimum": 0}},
                  "jobs": {"type": ["object", "null"], "additionalProperties": {"type": "integer", "minimum": 0}},
                  "energy_wh": {"type": ["number", "null"], "minimum": 0}, "idle_energy_wh": {"type": ["number", "null"], "minimum": 0},
                  "energy_method": {"type": ["string", "null"]}, "energy_corrections": {"type": "integer", "minimum": 0},
                  "mass_in_g": {"type": ["object", "null"]}, "mass_product_g": {"type": ["object", "null"]}, "mass_scrap_g": {"type": ["object", "null"]},
                  "items": {"type": ["integer", "null"], "minimum": 0}, "scrap": {"type": ["integer", "null"], "minimum": 0}, "shots": {"type": ["integer", "null"], "minimum": 0},
                  "filament_mm": {"type": ["number", "null"], "minimum": 0}
                }
              },
              "Results": {
                "type": "object", "required": ["results"],
                "properties": {"results": {"type": "array", "description": "One for each item, in its order.", "items": {
                  "type": "object", "required": ["lab", "grain", "start", "epoch", "revision", "result"],
                  "properties": {
                    "result": {"enum": ["applied", "duplicate", "stale", "conflict", "rejected"]},
                    "stored": {"type": "object", "description": "The newer version that made this one stale."},
                    "problem": {"$ref": "#/components/schemas/Problem"}
                  }
                }}}
              },
              "Page": {"type": "object", "required": ["schema", "items", "next"], "properties": {"next": {"type": ["string", "null"]}}},
              "Summary": {
                "type": "object", "required": ["lab", "grain", "windows"],
                "properties": {"windows": {"type": "array", "items": {"type": "object", "required": ["start", "epoch", "revision", "digest"]}}}
              }
            }
          }
        }
        """#
}
