import Model

/// The few shapes of Jinja2 templates that nearly all devices use in Home Assistant's discovery: one value, and plain
/// arithmetic with numbers around it.
///
///     {{ value }}   {{ value_json.a.b }}   {{ value_json['A']['B'] }}   {{ value_json.a[0] }}
///     {{ value_json.a | float / 60 }}      {{ ((value | float(0)) / 1000) | round(2) }}     {{ float(value) * 9 + 1 }}
///     {{ value_json.a | is_defined }}      {{ value_json.a if value_json.a is defined else '' }}
///     {% if value_json.a is defined %}{{ value_json.a }}{% endif %}
///
/// Anything else is no template for us: what it would mean must not be guessed. What a template says instead of a value
/// that is missing counts only where it says nothing, too: a `default(0)` would make a zero of what is unknown.
struct ValueTemplate: Sendable, Equatable {
    /// Something that is done to the number.
    enum Step: Equatable, Sendable {
        case truncate
        case round(Int)
        case absolute
        case add(Double)
        case multiply(Double)
        case divide(Double)

        func applied(to number: Double) -> Double {
            switch self {
            case .truncate: return number.rounded(.towardZero)
            case .absolute: return number.magnitude
            case .add(let other): return number + other
            case .multiply(let factor): return number * factor
            case .divide(let divisor): return number / divisor
            case .round(let digits):
                var scale = 1.0
                for _ in 0..<digits { scale *= 10 }
                return (number * scale).rounded(.toNearestOrEven) / scale
            }
        }
    }

    /// nil where the whole payload is meant.
    let path: JSONPath?
    private let steps: [Step]

    /// Without a template the payload is the value.
    static let payload = ValueTemplate(path: nil, steps: [])

    private init(path: JSONPath?, steps: [Step]) {
        self.path = path
        self.steps = steps
    }

    /// nil for every other shape.
    init?(_ text: String) {
        guard text.utf8.count <= 1024 else { return nil }
        var reader = TemplateReader(Array(text.utf8))
        guard let term = reader.template() else { return nil }
        self.init(path: term.path, steps: term.steps)
    }

    /// Whether the value is computed with, and so must be a number.
    var computes: Bool { !steps.isEmpty }

    func applied(to number: Double) -> Double { steps.reduce(number) { $1.applied(to: $0) } }
}
