import Model

// A recording instead of a wire: what was asked, and when, is past and cannot be asked again.

extension Hub {
    /// From now on this line plays a recording, and nobody's turn comes by the clock. With `hasQuestions` the recording
    /// holds what was asked (`overheard`); without, the line's only device asks just before each answer, and on a bus of
    /// several nothing tells whose answer it is: those bytes count as unasked.
    package mutating func playRecording(line index: Int, hasQuestions: Bool) {
        lines[index].turns = hasQuestions ? .recorded : .beforeAnswers
    }

    /// What was asked on the line when it was recorded. Every device on it hears the question, and the one that it was
    /// meant for takes the answer.
    package mutating func overheard(_ request: borrowing Span<UInt8>, line index: Int) {
        for device in lines[index].devices { devices[device].driver.overheard(request) }
    }

    /// The turn before an answer of a recording without questions.
    mutating func askBeforeAnswer(line index: Int, at now: Now) {
        guard lines[index].turns == .beforeAnswers, lines[index].isBus, lines[index].asked == nil,
            lines[index].devices.count == 1
        else { return }
        _ = prompt(lines[index].devices[0], at: now) { $0.poll(&$1) }
    }
}
