/// Klipper's side of a printer, as Moonraker sees it on Klipper's socket: JSON, each message ended by a byte 3 (Klipper,
/// docs/API_Server.md). It reads from the file `phase` in its folder what the printer does: standby, printing, complete,
/// cancelled, error. Ten times a second it says what changed.
let klippyPeer = """
    import asyncio, json, os, sys

    folder = sys.argv[1]
    EMPTY = {"filename": "", "total_duration": 0.0, "print_duration": 0.0, "filament_used": 0.0, "state": "standby",
             "message": "", "info": {"total_layer": None, "current_layer": None}}
    objects = {
        "webhooks": {"state": "ready", "state_message": "Printer is ready"},
        "configfile": {"config": {"virtual_sdcard": {"path": folder + "/data/gcodes"}}, "settings": {}, "warnings": []},
        "print_stats": dict(EMPTY),
        "virtual_sdcard": {"progress": 0.0, "is_active": False, "file_position": 0, "file_path": None, "file_size": 0},
        "display_status": {"progress": 0.0, "message": None},
        "pause_resume": {"is_paused": False},
        "idle_timeout": {"state": "Idle", "printing_time": 0.0},
        "extruder": {"temperature": 24.5, "target": 0.0, "power": 0.0},
        "heater_bed": {"temperature": 23.0, "target": 0.0, "power": 0.0},
    }
    now = 1000.0
    writers = {}

    def status(wanted):
        return {name: {field: value for field, value in objects[name].items() if not fields or field in fields}
                for name, fields in wanted.items() if name in objects}

    def answer(method, params):
        if method == "info":
            return {"state": "ready", "state_message": "Printer is ready", "hostname": "bench", "klipper_path": folder,
                    "python_path": sys.executable, "process_id": os.getpid(), "software_version": "v0.13",
                    "cpu_info": "", "log_file": folder + "/klippy.log", "config_file": folder + "/printer.cfg"}
        if method == "list_endpoints":
            return {"endpoints": ["info", "objects/list", "objects/query", "objects/subscribe", "gcode/script",
                                  "pause_resume/pause", "pause_resume/resume", "pause_resume/cancel", "emergency_stop"]}
        if method == "objects/list":
            return {"objects": list(objects)}
        if method in ("objects/query", "objects/subscribe"):
            return {"eventtime": now, "status": status(params.get("objects", {}))}
        return {}

    async def serve(reader, writer):
        writers[writer] = {}
        try:
            while True:
                request = json.loads((await reader.readuntil(b"\\x03"))[:-1])
                params = request.get("params") or {}
                if request["method"] == "objects/subscribe":
                    writers[writer] = params.get("objects", {})
                if "id" in request:
                    say(writer, {"id": request["id"], "result": answer(request["method"], params)})
        except (asyncio.IncompleteReadError, ConnectionError):
            writers.pop(writer, None)

    def say(writer, message):
        writer.write(json.dumps(message).encode() + b"\\x03")

    def change(name, **fields):
        fresh = {field: value for field, value in fields.items() if objects[name].get(field) != value}
        objects[name].update(fresh)
        return {name: fresh} if fresh else {}

    def step(phase, printed):
        changed = {}
        if phase == "printing":
            changed |= change("print_stats", state="printing", filename="geheim.gcode", total_duration=printed + 1.5,
                              print_duration=printed, filament_used=round(printed * 50, 2))
            changed |= change("virtual_sdcard", is_active=True, progress=min(0.99, printed / 20))
            changed |= change("extruder", temperature=round(209 + printed % 1, 2), target=210.0)
        elif phase == "standby":
            changed |= change("print_stats", **EMPTY)
            changed |= change("virtual_sdcard", is_active=False, progress=0.0)
        else:
            changed |= change("print_stats", state=phase)
            changed |= change("virtual_sdcard", is_active=False, progress=0.0)
            changed |= change("extruder", target=0.0)
        return changed

    async def tenth():
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.1)
        except asyncio.TimeoutError:
            pass

    async def main():
        global now
        server = await asyncio.start_unix_server(serve, folder + "/klippy.sock")
        print("listens", flush=True)
        printed, last = 0.0, ""
        while True:
            await tenth()
            now += 0.1
            try:
                phase = open(folder + "/phase").read().strip() or "standby"
            except OSError:
                phase = "standby"
            printed = printed + 0.1 if phase == "printing" and last == "printing" else 0.0
            last = phase
            changed = step(phase, round(printed, 2))
            for writer, wanted in list(writers.items()):
                some = {name: fields for name, fields in changed.items() if name in wanted}
                if some:
                    say(writer, {"method": "process_status_update", "params": {"eventtime": now, "status": some}})

    asyncio.run(main())

    """
