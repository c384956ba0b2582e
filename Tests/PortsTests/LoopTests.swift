// The loop calls what is ready, due or handed over, and nothing that was taken back.

@preconcurrency import Glibc
import Model
import Ports
import Synchronization
import Testing

/// Two connected sockets; what is written to one is read from the other.
private final class Pair {
    let near: CInt
    let far: CInt

    init() throws {
        var both: [CInt] = [-1, -1]
        try call("socketpair", on: "a test") {
            socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0, &both)
        }
        near = both[0]
        far = both[1]
    }

    deinit {
        close(near)
        close(far)
    }

    func send() { _ = write(far, "x", 1) }
    func receive() {
        var byte: UInt8 = 0
        _ = read(near, &byte, 1)
    }
}

@Suite(.timeLimit(.minutes(1))) struct LoopTests {
    /// A loop that gives up after ten seconds with status 99.
    private func makeLoop() throws -> Loop {
        let loop = try Loop()
        loop.after(.seconds(10)) { loop.stop(99) }
        return loop
    }

    @Test func readinessIsReported() throws {
        let loop = try makeLoop()
        let pair = try Pair()
        var seen: [Readiness] = []
        loop.watch(pair.near, [.read, .write]) { readiness in
            seen.append(readiness)
            switch seen.count {
            case 1:
                loop.change(pair.near, .read)
                pair.send()
            case 2:
                pair.receive()
                loop.change(pair.near, [.read, .hangup])
                shutdown(pair.far, CInt(SHUT_RDWR))
            default:
                loop.unwatch(pair.near)
                loop.stop(0)
            }
        }
        #expect(loop.run() == 0)
        #expect(seen == [.write, .read, [.read, .hangup]])
    }

    /// Both descriptors are ready in the same turn; the first handler takes the second one away.
    @Test(arguments: [false, true]) func whatIsUnwatchedIsNotCalled(reusesTheNumber: Bool) throws {
        let loop = try makeLoop()
        let pairs = [try Pair(), try Pair()]
        let spare = try Pair()
        var calls = 0
        for index in 0...1 {
            pairs[index].send()
            loop.watch(pairs[index].near, .read) { _ in
                calls += 1
                loop.unwatch(pairs[0].near)
                loop.unwatch(pairs[1].near)
                if reusesTheNumber {
                    let other = pairs[1 - index].near
                    dup2(spare.near, other)
                    loop.watch(other, .read) { _ in Issue.record("called for what another descriptor had to read") }
                }
                loop.after(.milliseconds(5)) { loop.stop(0) }
            }
        }
        #expect(loop.run() == 0)
        #expect(calls == 1)
    }

    @Test func aDescriptorThatCannotBeWaitedForHangsUp() throws {
        let loop = try makeLoop()
        let file = open("/proc/self/status", O_RDONLY)
        defer { close(file) }
        loop.watch(file, .read) { readiness in
            #expect(readiness == .hangup)
            loop.stop(0)
        }
        #expect(loop.run() == 0)
    }

    @Test func timersFireInOrderAndNotEarly() throws {
        let loop = try makeLoop()
        let start = SystemClock.realNow().moment
        var fired: [Int] = []
        for delay in [30, 5, 20, 5, 0, -7] {
            loop.after(.milliseconds(Int64(delay))) {
                #expect(SystemClock.realNow().moment - start >= .milliseconds(Int64(delay)))
                fired.append(delay)
                if delay == 30 { loop.stop(0) }
            }
        }
        let cancelled = loop.after(.milliseconds(10)) { Issue.record("a cancelled timer fired") }
        loop.cancel(cancelled)
        loop.cancel(cancelled)
        #expect(loop.run() == 0)
        #expect(fired == [0, -7, 5, 5, 20, 30])
    }

    /// A timer that always sets itself again leaves the rest its turn.
    @Test func aTimerAtOnceDoesNotStarveDescriptors() throws {
        let loop = try makeLoop()
        let pair = try Pair()
        func again() { loop.after(.zero, again) }
        again()
        loop.watch(pair.near, .read) { _ in loop.stop(0) }
        pair.send()
        #expect(loop.run() == 0)
    }

    @Test func thousandsOfTimersComeInOrder() throws {
        let loop = try makeLoop()
        var random = SplitMix(seed: 7)
        var fired: [Int] = []
        var expected: [(delay: Int, number: Int)] = []
        for number in 0..<3000 {
            let delay = Int.random(in: 0..<40, using: &random)
            let timer = loop.after(.milliseconds(Int64(delay))) { fired.append(number) }
            if number % 3 == 0 { loop.cancel(timer) } else { expected.append((delay, number)) }
        }
        loop.after(.milliseconds(200)) { loop.stop(0) }
        #expect(loop.run() == 0)
        #expect(Set(fired) == Set(expected.map(\.number)))
        #expect(fired.count == expected.count)
    }

    @Test func otherThreadsReachTheLoopInOrder() throws {
        let loop = try makeLoop()
        let seen = Mutex<[Int]>([])
        let remote = loop.remote
        let home = UInt(bitPattern: pthread_self().hashValue)
        let worker = Worker(name: "poster")
        worker.run {
            for number in 0..<1000 {
                remote.post {
                    #expect(UInt(bitPattern: pthread_self().hashValue) == home)
                    seen.withLock { $0.append(number) }
                }
            }
        }
        loop.run(on: worker) {
            42
        } then: { answer in
            #expect(answer == 42)
            loop.stop(0)
        }
        #expect(loop.run() == 0)
        #expect(seen.withLock { $0 } == Array(0..<1000))
        worker.stop()
    }

    @Test func theHookBoundsTheSleep() throws {
        let loop = try makeLoop()
        var calls = 0
        loop.beforeSleep = {
            calls += 1
            if calls == 3 { loop.stop(7) }
            return .milliseconds(1)
        }
        #expect(loop.run() == 7)
    }

    @Test func signalsComeAsEvents() throws {
        let loop = try makeLoop()
        var seen: [CInt] = []
        for number in [SIGUSR1, SIGHUP] {
            try loop.onSignal(number) {
                seen.append(number)
                if seen.count == 2 { loop.stop(0) }
            }
        }
        // To this thread only: the other tests' threads would die of it.
        pthread_kill(pthread_self(), SIGHUP)
        pthread_kill(pthread_self(), SIGUSR1)
        #expect(loop.run() == 0)
        #expect(Set(seen) == [SIGUSR1, SIGHUP])
        #expect(throws: PortError.self) { try loop.onSignal(4096) {} }
    }
}

@Suite(.timeLimit(.minutes(1))) struct WorkerTests {
    @Test func everythingQueuedIsDoneInOrderBeforeStopReturns() {
        let done = Mutex<[Int]>([])
        let worker = Worker(name: "in order")
        for number in 0..<500 { worker.run { done.withLock { $0.append(number) } } }
        worker.stop()
        worker.stop()
        worker.run { Issue.record("ran after stop") }
        #expect(done.withLock { $0 } == Array(0..<500))
    }

    @Test func theThreadHasItsName() {
        let name = Mutex("")
        let worker = Worker(name: "fsync of the store")
        worker.run {
            var bytes = [UInt8](repeating: 0, count: 32)
            let file = open("/proc/thread-self/comm", O_RDONLY)
            let count = read(file, &bytes, bytes.count)
            close(file)
            name.withLock { $0 = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) }
        }
        worker.stop()
        #expect(name.withLock { $0 } == "fsync of the st\n")
    }

    @Test func aWorkerThatNobodyHoldsFinishesItsWork() throws {
        let loop = try Loop()
        let remote = loop.remote
        var worker: Worker? = Worker(name: "orphan")
        worker?.run { remote.post { remote.post {} } }
        let isDone = Mutex(false)
        worker?.run {
            isDone.withLock { $0 = true }
            remote.post {}
        }
        worker = nil
        loop.beforeSleep = {
            if isDone.withLock({ $0 }) { loop.stop(0) }
            return nil
        }
        loop.after(.seconds(10)) { loop.stop(99) }
        #expect(loop.run() == 0)
    }
}

@Suite struct ClockTests {
    @Test func realTimeIsTheSystems() {
        let before = SystemClock.realNow()
        let now = SystemClock().now()
        let after = SystemClock.realNow()
        #expect(before.moment <= now.moment && now.moment <= after.moment)
        #expect(before.wall <= now.wall && now.wall <= after.wall)
        #expect(abs(Int64(time(nil)) * 1000 - now.wall.milliseconds) < 5000)
    }

    @Test(arguments: [1, 60, 3600]) func aLabClockRunsFaster(speed: Int64) {
        let real = Instant(milliseconds: 1_700_000_000_000)
        let lab = Instant(milliseconds: 1_600_000_000_000)
        let clock = SystemClock(speed: speed, realOrigin: real, labOrigin: lab)
        let nanoseconds = real.milliseconds * 1_000_000
        let monotonic: Int64 = 90 * 86_400 * 1_000_000_000
        let first = clock.now(real: nanoseconds, monotonic: monotonic)
        #expect(first.wall == lab)
        let second = clock.now(real: nanoseconds + 1_500_500_000, monotonic: monotonic + 1_500_500_000)
        #expect(second.wall - first.wall == .milliseconds(15_005 * speed / 10))
        #expect(second.moment.nanoseconds - first.moment.nanoseconds == 1_500_500_000 * speed)
        // Another process with the same origins, later in the same second.
        let other = SystemClock(speed: speed, realOrigin: real, labOrigin: lab)
        #expect(other.now(real: nanoseconds + 1_500_500_000, monotonic: 5).wall == second.wall)
    }

    @Test func theDelayIsRoundedUp() {
        let now = Now(moment: Moment(nanoseconds: 1000), wall: Instant(milliseconds: 0))
        func delay(_ nanoseconds: Int64, speed: Int64) -> Int64 {
            let origin = Instant(milliseconds: 0)
            let clock = SystemClock(speed: speed, realOrigin: origin, labOrigin: origin)
            return clock.realDelay(until: Moment(nanoseconds: nanoseconds), from: now).milliseconds
        }
        #expect(delay(1000, speed: 1) == 0)
        #expect(delay(-5000, speed: 1) == 0)
        #expect(delay(1001, speed: 1) == 1)
        #expect(delay(1000 + 1_000_000, speed: 1) == 1)
        #expect(delay(1000 + 1_000_001, speed: 1) == 2)
        #expect(delay(1000 + 3_600_000_000, speed: 3600) == 1)
        #expect(delay(1000 + 3_600_000_001, speed: 3600) == 2)
        #expect(delay(.max, speed: 1) > 86_400_000)
        #expect(delay(.min, speed: 1) == 0)
    }

    @Test func strangeOriginsDoNotTrap() {
        for origin in [Int64.min, .max, 0] {
            _ = SystemClock(
                speed: .max, realOrigin: Instant(milliseconds: origin), labOrigin: Instant(milliseconds: origin)
            ).now()
        }
    }
}
