// Programs start, say something and end, and somebody hears of it.

@preconcurrency import Glibc
import Model
import Ports
import Testing

@Suite(.timeLimit(.minutes(1))) struct ChildProcessTests {
    @Test func theStatusIsTheShells() throws {
        #expect(try ChildProcess("/bin/sh", ["-c", "exit 7"]).wait() == 7)
        #expect(try ChildProcess("sh", ["-c", "kill -TERM $$"]).wait() == 128 + SIGTERM)
        let sleeping = try ChildProcess("sleep", ["100"])
        #expect(sleeping.poll() == nil)
        sleeping.kill(SIGKILL)
        #expect(sleeping.wait() == 128 + SIGKILL)
        #expect(sleeping.poll() == 128 + SIGKILL)
    }

    @Test func aProgramThatIsNotThereIsAnError() {
        #expect { try ChildProcess("/nowhere/mosquitto") } throws: {
            "\($0)" == "start /nowhere/mosquitto: No such file or directory; is it installed?"
        }
    }

    @Test func outputGoesWhereItIsAsked() throws {
        let folder = try TemporaryFolder()
        let file = folder.path + "/out"
        let script = "echo one; echo two >&2; echo $WORD"
        #expect(
            try ChildProcess("sh", ["-c", script], environment: ["WORD": "three"], output: .file(file)).wait() == 0)
        #expect(try read(file) == "one\ntwo\nthree\n")

        let loop = try Loop()
        loop.after(.seconds(10)) { loop.stop(99) }
        let child = try ChildProcess("sh", ["-c", "echo hello"], output: .pipe)
        let output = try #require(child.output)
        var text: [UInt8] = []
        loop.watch(output, .read) { _ in
            var bytes = [UInt8](repeating: 0, count: 100)
            let count = Glibc.read(output, &bytes, bytes.count)
            if count > 0 { return text += bytes[..<count] }
            loop.unwatch(output)
            loop.stop(0)
        }
        #expect(loop.run() == 0)
        #expect(String(decoding: text, as: UTF8.self) == "hello\n")
    }

    /// Descriptors, blocked signals and ignored signals stay ours.
    @Test func aChildInheritsNothing() throws {
        let folder = try TemporaryFolder()
        let loop = try Loop()
        try loop.onSignal(SIGUSR2) {}
        let leak = open("/dev/null", O_RDONLY)
        defer { close(leak) }
        let script = "ls /proc/self/fd | tr '\\n' ' '; grep -E 'SigBlk|SigIgn' /proc/self/status"
        let file = folder.path + "/out"
        #expect(try ChildProcess("sh", ["-c", script], output: .file(file)).wait() == 0)
        let lines = try read(file).split(separator: "\n")
        #expect(lines.first == "0 1 2 3 SigBlk:\t0000000000000000")
        let ignored = try #require(UInt64(lines.last?.suffix(16) ?? "", radix: 16))
        // 32 and 33 belong to glibc, which ignores them itself.
        #expect(ignored & ~0x1_8000_0000 == 0)
    }

    @Test func theLoopHearsOfTheEnd() throws {
        let loop = try Loop()
        loop.after(.seconds(10)) { loop.stop(99) }
        let child = try ChildProcess("sh", ["-c", "exit 3"])
        child.onExit(loop) { status in
            #expect(status == 3)
            loop.stop(0)
        }
        #expect(loop.run() == 0)
    }

    @Test func theChildEndsWithItsObject() throws {
        var child: ChildProcess? = try ChildProcess("sleep", ["100"])
        let pid = try #require(child?.pid)
        #expect(kill(pid, 0) == 0)
        child = nil
        #expect(kill(pid, 0) == -1)
    }

    @Test func aFreePortCanBeBound() throws {
        let ports = try (0..<5).map { _ in try FreePort.loopback() }
        #expect(ports.allSatisfy { $0 >= 1024 })
    }

    private func read(_ file: String) throws -> String {
        let descriptor = try call("open", on: file) { open(file, O_RDONLY | O_CLOEXEC) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = try call("read", on: file) { Glibc.read(descriptor, &bytes, bytes.count) }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
