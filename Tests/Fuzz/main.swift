// `Fuzz list`, `Fuzz NAME SEEDFOLDER [libFuzzer options]`, `Fuzz seeds NAME FOLDER`. Built and run by deploy/fuzz.

@preconcurrency import Glibc
import Ports

/// libFuzzer's own main loop, from the toolchain.
@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
    _ argc: UnsafeMutablePointer<CInt>,
    _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// libFuzzer calls a C function, which can carry no context: what it runs stands here.
nonisolated(unsafe) private var target: FuzzTarget?

private func fail(_ words: String) -> Never {
    fputs("Fuzz: \(words)\n", stderr)
    exit(64)
}

private let words = CommandLine.arguments
do {
    let targets = try FuzzTarget.all()
    switch words.dropFirst().first {
    case "list": for target in targets { print(target.name) }
    case "seeds":
        guard words.count == 4, let one = targets.first(where: { $0.name == words[2] }) else {
            fail("seeds takes a name and a folder")
        }
        for (number, seed) in try one.seeds().enumerated() {
            guard let file = fopen("\(words[3])/seed-\(number)", "w") else { fail("cannot write to \(words[3])") }
            fwrite(seed, 1, seed.count, file)
            fclose(file)
        }
    case let name?:
        guard let one = targets.first(where: { $0.name == name }) else { fail("there is no target '\(name)'") }
        target = one
        // libFuzzer does not know the target's name.
        let rest = [words[0]] + words.dropFirst(2)
        var argv: [UnsafeMutablePointer<CChar>?] = rest.map { strdup($0) } + [nil]
        var argc = CInt(rest.count)
        let status = argv.withUnsafeMutableBufferPointer { buffer -> CInt in
            guard var base = buffer.baseAddress else { return 1 }
            return runFuzzer(&argc, &base) { pointer, count in
                target?.run(Array(UnsafeBufferPointer(start: pointer, count: count)))
                return 0
            }
        }
        exit(status)
    default: fail("takes 'list', 'seeds' or the name of a target")
    }
} catch {
    fail("\(error)")
}
