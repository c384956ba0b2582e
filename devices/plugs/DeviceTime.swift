import Model

/// The time that a source gives with its values, as milliseconds since 1970 in UTC.
enum DeviceTime {
    /// nil where it cannot be right, so that the time of arrival counts: before 2020 is a clock that was never set.
    /// That it is not ahead of the gateway's clock is looked at where there is a clock.
    static func instant(milliseconds: Double) -> Instant? {
        plausible.contains(milliseconds) ? Instant(milliseconds: Int64(milliseconds.rounded())) : nil
    }

    /// 2020-01-01 to 2100-01-01.
    private static let plausible = 1_577_836_800_000.0...4_102_444_800_000.0
}
