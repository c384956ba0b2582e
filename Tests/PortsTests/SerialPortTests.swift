// A serial port over a pseudo-terminal: bytes, settings, and what happens when somebody pulls the plug.

@preconcurrency import Glibc
import Model
import Ports
import Testing

@Suite(.timeLimit(.minutes(1))) struct SerialPortTests {
    private func makeLoop() throws -> Loop {
        let loop = try Loop()
        loop.after(.seconds(20)) { loop.stop(99) }
        return loop
    }

    @Test func bytesGoThroughUnchangedBothWays() throws {
        let loop = try makeLoop()
        let terminal = try PseudoTerminal()
        let all = (0...255).map { UInt8($0) } + Array("\r\n\u{3}\u{4}\u{11}\u{13}".utf8)
        var heard: [UInt8] = []
        var told: [UInt8] = []
        var port: SerialPort?
        let settings = SerialSettings(name: "bus", path: terminal.path, baud: 9600)
        port = SerialPort(loop: loop, settings: settings) { bytes in
            for index in bytes.indices { heard.append(bytes[index]) }
            if heard.count == all.count { #expect(port?.write(all) == true) }
        } onChange: { open, reason in
            #expect(open, "\(reason)")
            #expect(terminal.write(all) == all.count)
        }
        loop.watch(terminal.descriptor, .read) { _ in
            told += terminal.read()
            if told.count == all.count { loop.stop(0) }
        }
        #expect(loop.run() == 0)
        #expect(heard == all)
        #expect(told == all)
        port?.close()
    }

    @Test(arguments: [300, 9600, 115_200, 250_000, 1_000_000]) func anySpeedIsSet(baud: Int) throws {
        let loop = try makeLoop()
        let terminal = try PseudoTerminal()
        let settings = SerialSettings(name: "bus", path: terminal.path, baud: baud, format: .eightNone2)
        let port = SerialPort(loop: loop, settings: settings) { _ in
        } onChange: { open, reason in
            #expect(open, "\(reason)")
            loop.stop(0)
        }
        #expect(loop.run() == 0)
        #expect(try terminal.settings() == "\(baud) 8N2")
        port.close()
    }

    /// A pseudo-terminal knows neither parity nor seven bits, so this is what the kernel would be told.
    @Test(arguments: SerialFormat.allCases) func everyFormatIsSet(format: SerialFormat) throws {
        let terminal = try PseudoTerminal()
        var line = try LineSettings(of: terminal.descriptor, terminal.path)
        line.makeRaw(baud: 19_200, format: format)
        #expect(line.description == "19200 \(format.rawValue)")
    }

    /// The plug is pulled and put back in; the link that names it leads elsewhere then.
    @Test func aPortComesBackWithoutARestart() throws {
        let loop = try makeLoop()
        let folder = try TemporaryFolder()
        let link = folder.path + "/usb-meter"
        var terminal: PseudoTerminal?
        var changes: [String] = []
        var heard = 0
        let port = SerialPort(loop: loop, settings: SerialSettings(name: "bus1", path: link, baud: 9600)) { _ in
            heard += 1
            terminal = nil
            if heard == 3 { loop.stop(0) }
        } onChange: { open, reason in
            changes.append(reason)
            if open {
                terminal?.write([1])
            } else {
                #expect(throws: Never.self) {
                    terminal = try PseudoTerminal()
                    try terminal?.link(at: link)
                }
            }
        }
        #expect(loop.run() == 0)
        port.close()
        let open = "bus1 (\(link)) is open at 9600 8N1"
        let gone = "bus1 (\(link)) was unplugged; it is opened again when it is back"
        #expect(changes.first?.hasPrefix("bus1 (\(link)) is not there; is it plugged in?") == true)
        #expect(changes.dropFirst() == [open, gone, open, gone, open])
        #expect(!port.write([1]))
    }

    @Test func aPortHasOneOwner() throws {
        let loop = try makeLoop()
        let terminal = try PseudoTerminal()
        let settings = SerialSettings(name: "bus1", path: terminal.path, baud: 9600)
        var other: SerialPort?
        let port = SerialPort(loop: loop, settings: settings) { _ in
        } onChange: { _, _ in
            other = SerialPort(loop: loop, settings: settings) { _ in
            } onChange: { open, reason in
                #expect(!open)
                #expect(reason.contains("is in use by another program"), "\(reason)")
                loop.stop(0)
            }
        }
        #expect(loop.run() == 0)
        port.close()
        other?.close()
    }

    @Test func whatIsNoSerialPortSaysSo() throws {
        let loop = try makeLoop()
        let folder = try TemporaryFolder()
        let file = try folder.write("file", [1])
        var said = ""
        let port = SerialPort(loop: loop, settings: SerialSettings(name: "bus1", path: file, baud: 9600)) { _ in
        } onChange: { open, reason in
            said = open ? "open" : reason
            loop.stop(0)
        }
        #expect(loop.run() == 0)
        #expect(said.contains("is this a serial device?"), "\(said)")
        port.close()
    }

    /// Many boards start anew when DTR rises, and the system lowers it when a port is closed whose line says HUPCL, or is
    /// set to no speed. So neither is there once the port is open, nor after it was closed, for whoever opens it next.
    /// A pseudo-terminal has no DTR itself; its settings are kept as those of any line.
    @Test func nothingIsLoweredThatWouldResetABoard() throws {
        let loop = try makeLoop()
        let terminal = try PseudoTerminal()
        func flags(change: (inout termios) -> Void = { _ in }) -> termios {
            var line = termios()
            #expect(tcgetattr(terminal.descriptor, &line) == 0)
            change(&line)
            #expect(tcsetattr(terminal.descriptor, TCSANOW, &line) == 0)
            #expect(tcgetattr(terminal.descriptor, &line) == 0)
            return line
        }
        func isSet(_ bit: tcflag_t, _ line: termios) -> Bool { line.c_cflag & bit != 0 }
        let (hangsUp, ignoresModem) = (tcflag_t(HUPCL), tcflag_t(CLOCAL))
        // As a new line is.
        let before = flags {
            $0.c_cflag |= hangsUp
            $0.c_cflag &= ~ignoresModem
        }
        #expect(isSet(hangsUp, before) && !isSet(ignoresModem, before))
        var open: termios?
        let settings = SerialSettings(name: "bus", path: terminal.path, baud: 115_200)
        let port = SerialPort(loop: loop, settings: settings) { _ in
        } onChange: { isOpen, reason in
            #expect(isOpen, "\(reason)")
            open = flags()
            loop.stop(0)
        }
        #expect(loop.run() == 0)
        port.close()
        for var line in [try #require(open), flags()] {
            #expect(!isSet(hangsUp, line) && isSet(ignoresModem, line))
            #expect(!isSet(tcflag_t(CRTSCTS), line), "nor is RTS the system's to move")
            #expect(cfgetospeed(&line) != speed_t(B0))
        }
    }

    @Test func whatNobodyReadsIsBounded() throws {
        let loop = try makeLoop()
        let terminal = try PseudoTerminal()
        let piece = [UInt8](repeating: 0x55, count: 1000)
        var accepted = 0
        var arrived = 0
        var port: SerialPort?
        let settings = SerialSettings(name: "bus", path: terminal.path, baud: 9600)
        port = SerialPort(loop: loop, settings: settings) { _ in
        } onChange: { _, _ in
            while accepted < 1000, port?.write(piece) == true { accepted += 1 }
            #expect(accepted < 1000)
            #expect(port?.write([UInt8](repeating: 0, count: SerialPort.mostWaiting + 1)) == false)
            loop.watch(terminal.descriptor, .read) { _ in
                arrived += terminal.read().count
                if arrived == accepted * piece.count { loop.stop(0) }
            }
        }
        #expect(loop.run() == 0)
        port?.close()
    }
}
