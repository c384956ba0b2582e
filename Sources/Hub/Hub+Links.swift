import Model

// Who may speak on a link, and to whom a message goes.

extension Hub {
    /// Silence between two frames on a bus; more than 3.5 characters at 9600 baud.
    static let gap = Duration.milliseconds(5)
    /// A unit that does not answer is asked ever more rarely, down to this many times its usual interval.
    static let rarest: Int64 = 30

    /// A time on the wire as a length of the lab's time.
    func linkTime(_ real: Duration) -> Duration { real * linkSpeed }

    /// All topic filters that the devices of a broker listen on.
    package func subscriptions(broker index: Int) -> [String] {
        var filters: [String] = []
        var known: Set<String> = []
        known.reserveCapacity(devices.reduce(0) { $0 + $1.driver.subscriptions.count })
        // By index: a copy of a device would count up all that it holds.
        for device in devices.indices where devices[device].configuration.link == .broker(index) {
            for filter in devices[device].driver.subscriptions where known.insert(filter).inserted {
                filters.append(filter)
            }
        }
        return filters
    }

    /// Drivers say once and for all what they listen on.
    mutating func openRoutes() {
        for index in brokers.indices {
            brokers[index].router = TopicRouter(
                devices.indices.filter { devices[$0].configuration.link == .broker(index) }.map {
                    ($0, devices[$0].driver.subscriptions)
                })
        }
    }

    /// Sends a driver's request on the link that it reads from.
    mutating func send(_ request: Request, for index: Int, at now: Now) {
        switch (request, devices[index].configuration.link) {
        case (.write(let bytes, let replyWithin, let pause), .line(let line)):
            guard lines[line].isOpen else { return }
            if pause > .zero {
                lines[line].unsent = (bytes, now.moment + linkTime(pause))
            } else {
                act(.write(line: line, bytes: bytes))
            }
            if let replyWithin { lines[line].asked = (index, now.moment + linkTime(pause) + linkTime(replyWithin)) }
        case (.publish(let topic, let payload), .broker(let broker)):
            act(.publish(broker: broker, topic: topic, payload: payload))
        case (.ask(let path, let headers, let replyWithin), _):
            ask(path, headers, replyWithin, for: index, at: now)
        default:
            break  // A driver cannot reach another link than its own.
        }
    }

    /// Ends turns that got no answer and gives the next ones, on lines and elsewhere.
    mutating func serveLinks(at now: Now) {
        findLinkDeadline()
        guard let links = due.links, now.moment >= links else { return }
        serveLines(at: now)
        serveTurns(at: now)
    }

    private mutating func serveLines(at now: Now) {
        for index in lines.indices where now.moment >= lines[index].deadline(nextTurns) {
            if let (bytes, time) = lines[index].unsent, now.moment >= time {
                lines[index].unsent = nil
                act(.write(line: index, bytes: bytes))
            }
            if let asked = lines[index].asked, now.moment >= asked.until {
                lines[index].asked = nil
                lines[index].quietUntil = now.moment + linkTime(.milliseconds(100))
                devices[asked.device].silentTurns += 1
                _ = prompt(asked.device, at: now) { $0.noReply(&$1) }
            }
            guard lines[index].turns == .own, lines[index].asked == nil, now.moment >= lines[index].quietUntil else {
                continue
            }
            guard let next = lines[index].longestWaiting(nextTurns), nextTurns[next] <= now.moment,
                let interval = turnInterval(of: next)
            else { continue }
            nextTurns[next] = now.moment + interval
            _ = prompt(next, at: now) { $0.poll(&$1) }
        }
    }

    /// How often a device is asked: as configured, and ever more rarely while it does not answer.
    private func turnInterval(of index: Int) -> Duration? {
        guard case .line(let line) = devices[index].configuration.link, let every = devices[index].configuration.every
        else { return nil }
        // The third silence in a row is no accident any more; then a unit must not cost the others their turns.
        let silent = lines[line].devices.count > 1 ? Int64(max(0, devices[index].silentTurns - 2)) : 0
        return every * min(Self.rarest, 1 << min(silent, 10))
    }

    /// A unit that left three questions unanswered.
    func unanswered(_ index: Int) -> (turns: Int, askedEvery: Duration)? {
        guard devices[index].isSilent, let interval = turnInterval(of: index) else { return nil }
        return (devices[index].silentTurns, interval)
    }

    /// When the next turn or time-out comes.
    var linkDeadline: Moment { due.links ?? earliestOnLinks }

    /// Found once for all who ask before any of it changes.
    mutating func findLinkDeadline() { if due.links == nil { due.links = earliestOnLinks } }

    private var earliestOnLinks: Moment {
        var earliest = turnDeadline
        for index in lines.indices { earliest = min(earliest, lines[index].deadline(nextTurns)) }
        return earliest
    }
}

extension LineRuntime {
    /// Whose turn comes first. `turns` are those of all devices.
    func longestWaiting(_ turns: [Moment]) -> Int? {
        var first: Int?
        var turn = Moment.never
        for device in devices where first == nil || turns[device] < turn {
            first = device
            turn = turns[device]
        }
        return first
    }

    /// When the next turn or time-out comes.
    func deadline(_ turns: [Moment]) -> Moment {
        guard isOpen else { return .never }
        var earliest = unsent?.at ?? .never
        if let until = asked?.until {
            earliest = min(earliest, until)
        } else if self.turns == .own, let next = longestWaiting(turns) {
            earliest = min(earliest, max(turns[next], quietUntil))
        }
        return earliest
    }
}
