// How a serial line is set: speed, bits, parity.

@preconcurrency import Glibc

/// Bits of a character on the line. The names are what manuals and the configuration say: data bits, parity, stop bits.
package enum SerialFormat: String, CaseIterable, Hashable, Sendable {
    case eightNone1 = "8N1"
    case eightEven1 = "8E1"
    case eightNone2 = "8N2"
    case sevenEven1 = "7E1"

    /// Bits that one character takes on the line, with start, parity and stop bits.
    package var bitsPerCharacter: Int {
        switch self {
        case .eightNone1, .sevenEven1: 10
        case .eightEven1, .eightNone2: 11
        }
    }
}

package struct SerialSettings: Hashable, Sendable {
    /// The name in the configuration, for messages.
    package var name: String
    /// A device, or a link to one such as `/dev/serial/by-id/…`.
    package var path: String
    /// Bits a second; any that the adapter can do.
    package var baud: Int
    package var format: SerialFormat

    package init(name: String, path: String, baud: Int, format: SerialFormat = .eightNone1) {
        self.name = name
        self.path = path
        self.baud = baud
        self.format = format
    }
}

/// The line's settings as the kernel keeps them, set through its own `struct termios2`, which takes any speed, 250000 too;
/// libc's takes those of a list. From asm-generic/termbits.h, the same on x86, ARM and RISC-V:
///
///     word    0      1      2      3      4 … 8               9       10
///             iflag  oflag  cflag  lflag  line u8, cc u8×19   ispeed  ospeed
package struct LineSettings {
    // Words of 32 bits.
    private var words = [UInt32](repeating: 0, count: 11)

    private static let read: UInt = 0x802C_542A  // TCGETS2
    private static let writeAndFlush: UInt = 0x402C_542D  // TCSETSF2

    // Bits of cflag.
    private static let speedMask: UInt32 = 0o10017
    private static let speedAsNumber: UInt32 = 0o10000  // BOTHER
    private static let inputSpeedMask: UInt32 = 0o10017 << 16
    private static let sizeMask: UInt32 = 0o60
    private static let sevenBits: UInt32 = 0o40
    private static let eightBits: UInt32 = 0o60
    private static let twoStopBits: UInt32 = 0o100
    private static let receives: UInt32 = 0o200
    private static let parity: UInt32 = 0o400
    private static let oddParity: UInt32 = 0o1000
    private static let hangsUpOnClose: UInt32 = 0o2000
    private static let ignoresModemLines: UInt32 = 0o4000
    private static let hardwareFlow: UInt32 = 0o20_000_000_000

    /// What the line is set to now. An error where `descriptor` is no serial line.
    package init(of descriptor: CInt, _ path: String) throws(PortError) {
        var words = words
        try call("read settings of", on: path, hint: "is this a serial device?") {
            ioctl(descriptor, LineSettings.read, &words)
        }
        self.words = words
    }

    /// Bytes go through as they are: no echo, no signals, no line ends, no flow control.
    package mutating func makeRaw(baud: Int, format: SerialFormat) {
        words[0] = 0
        words[1] = 0
        words[3] = 0
        var control = words[2]
        control &= ~(LineSettings.speedMask | LineSettings.inputSpeedMask | LineSettings.sizeMask)
        control &= ~(LineSettings.twoStopBits | LineSettings.parity | LineSettings.oddParity)
        // Raising DTR again at the next open would reset most boards; so nothing is lowered at close.
        control &= ~(LineSettings.hangsUpOnClose | LineSettings.hardwareFlow)
        control |= LineSettings.speedAsNumber | LineSettings.receives | LineSettings.ignoresModemLines
        switch format {
        case .eightNone1: control |= LineSettings.eightBits
        case .eightEven1: control |= LineSettings.eightBits | LineSettings.parity
        case .eightNone2: control |= LineSettings.eightBits | LineSettings.twoStopBits
        case .sevenEven1: control |= LineSettings.sevenBits | LineSettings.parity
        }
        words[2] = control
        // VTIME and VMIN, cc 5 and 6 behind the byte `line`. With VMIN 0 an idle line would read as one that is gone.
        withCharacters { bytes in
            bytes[6] = 0
            bytes[7] = 1
        }
        words[9] = UInt32(clamping: baud)
        words[10] = words[9]
    }

    private mutating func withCharacters(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
        words.withUnsafeMutableBytes { body(UnsafeMutableRawBufferPointer(rebasing: $0[16..<36])) }
    }

    /// Sets the line; what arrived before is thrown away.
    package func apply(to descriptor: CInt, _ path: String) throws(PortError) {
        var words = words
        try call("set", on: path, hint: "can the adapter do \(words[9]) baud?") {
            ioctl(descriptor, LineSettings.writeAndFlush, &words)
        }
    }

    /// Asks the adapter to hand over bytes at once; FTDI's otherwise collect them for 16 ms. Most others know no such thing,
    /// so that the answer does not matter. `struct serial_struct` of linux/serial.h has the flags in its fifth word.
    static func askForLowLatency(_ descriptor: CInt) {
        var words = [UInt32](repeating: 0, count: 32)
        guard ioctl(descriptor, 0x541E, &words) == 0 else { return }  // TIOCGSERIAL
        words[4] |= 1 << 13  // ASYNC_LOW_LATENCY
        _ = ioctl(descriptor, 0x541F, &words)  // TIOCSSERIAL
    }

    /// What the line is set to, for tests and messages: `250000 8N1`.
    package var description: String {
        let control = words[2]
        let size = control & LineSettings.sizeMask == LineSettings.sevenBits ? "7" : "8"
        let parity = control & LineSettings.parity == 0 ? "N" : control & LineSettings.oddParity == 0 ? "E" : "O"
        return "\(words[10]) \(size)\(parity)\(control & LineSettings.twoStopBits == 0 ? "1" : "2")"
    }
}
