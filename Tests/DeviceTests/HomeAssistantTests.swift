import Model
import Plugs
import Testing

@Suite struct HomeAssistantTests {
    private func device(_ values: String, _ more: String = "") throws -> HomeAssistant {
        try MessageBench.made(HomeAssistant.self, "{topic: t, values: [\(values)]\(more)}")
    }

    /// One sensor with a template, and what a message on its topic gives.
    private func said(_ template: String, _ payload: String, unit: String = "W") throws -> [String] {
        var made = try device("{channel: power, entity: e}")
        let config = JSON.object([
            "stat_t": .string("t/s"), "unit_of_meas": .string(unit), "val_tpl": .string(template),
        ])
        let told = made.hears(
            "homeassistant/sensor/e/config", String(decoding: config.bytes, as: UTF8.self), retained: true)
        return told + made.hears("t/s", payload)
    }

    @Test(arguments: [
        ("{{value}}", "5", "power=5"), ("{{ value }}", " 5 ", "power=5"), ("{{value|float}}", "5.5", "power=5.5"),
        ("{{ value | float / 60 }}", "120", "power=2"), ("{{value_json.a.b}}", #"{"a":{"b":5}}"#, "power=5"),
        ("{{value_json['A']['B']}}", #"{"A":{"B":5}}"#, "power=5"),
        ("{{ value_json[\"A b\"].c }}", #"{"A b":{"c":5}}"#, "power=5"),
        ("{{value_json.a[1]}}", #"{"a":[4,5]}"#, "power=5"),
        ("{{ value_json.a | float | round(1) }}", #"{"a":5.25}"#, "power=5.2"),
        ("{{ value_json.a | int }}", #"{"a":-5.9}"#, "power=-5"),
        ("{{ value_json.a * 1000 / 4 }}", #"{"a":"0.5"}"#, "power=125"),
        ("{{ value_json.a / 60 | round(2) }}", #"{"a":120}"#, "power=2"),
        ("{{ value_json.a / 2.6 | int }}", #"{"a":120}"#, "power=60"),
        ("{{ value_json.a | is_defined }}", #"{"a":5}"#, "power=5"),
        ("{{ (value | float(0)) / 1000 }}", "5000", "power=5"),
        ("{{ ((value|float - 10) / 2.5 + 1) | round(1) }}", "20", "power=5"),
        ("{{ float(value_json.ok) * 99 + 1 }}", #"{"ok":1}"#, "power=100"),
        ("{{ int(value_json['a'], 0) }}", #"{"a":5.9}"#, "power=5"),
        ("{{ 100 - value_json.a }}", #"{"a":95}"#, "power=5"), ("{{ 2 * (1 + 1) * value }}", "5", "power=20"),
        ("{{ -value | abs }}", "-5", "power=5"), ("{{- value -}}", "5", "power=5"),
        ("{{ value | multiply(0.5) | round }}", "9.6", "power=5"),
        ("{{ value_json.a | round(1) if value_json.a is defined else '' }}", #"{"a":5.04}"#, "power=5"),
        ("{{ value_json.a if value_json.a is defined }}", #"{"a":5}"#, "power=5"),
        ("{% if value_json.a.b is defined %}{{ value_json.a.b / 2 }}{% endif %}", #"{"a":{"b":10}}"#, "power=5"),
        ("{%- if value_json['a }}'] is defined -%} {{- value_json['a }}'] -}} {%- endif -%}", "{}", nil),
        ("{{ value_json.a | default('') | float }}", #"{"a":5}"#, "power=5"),
        ("{{ value_json.a | is_defined }}", "{}", nil), ("{{ value_json.a | default(none) }}", "{}", nil),
        ("{{ value_json.a if value_json.a is defined else none }}", #"{"b":5}"#, nil),
        ("{{ value_json.a | float(0) }}", #"{"a":null}"#, "power=unknown"),
        ("{{ value_json.a | float(0) / 2 }}", #"{"a":"much"}"#, "!badValue"),
    ])
    func templatesThatAreUnderstood(_ template: String, _ payload: String, _ reading: String?) throws {
        #expect(try said(template, payload) == [reading].compactMap { $0 })
    }

    @Test(arguments: [
        "{{ value_json.a if value_json.b is defined }}", "{{ value_json.a if value_json.a }}", "{{ value_json.a + b }}",
        "{{ value_json.a if value_json.a is defined else 0 }}", "{{ value_json.a | default(0) }}", "{{ 5 }}",
        "{{ value_json.a + value_json.a }}", "{{ 1 / value_json.a }}", "{{ value_json.a // 2 }}", "{{ value ** 2 }}",
        "{{ (value_json.a }}", "{{ value_json.a) }}", "{{ value_json.a / (2 - 2) }}", "{{ ((((((((((value)))))))))) }}",
        "{{ value_json.a | round(1, 'floor') }}", "{{ value_json.a | float('x') }}", "{{ value_json.a is defined }}",
        "{% if value_json.b is defined %}{{ value_json.a }}{% endif %}", "{% if value_json.a is defined %}{{ value }}",
        "{% if value_json.a %}{{ value_json.a }}{% endif %}", "{{ value_json.a + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 }}",
        "{% if value %}1{% endif %}", "{{ states('x') }}", "{{ value_json.get('a') }}", "{{ value_json.a }} W",
        "{{ value_json.a }}{{ value_json.b }}", "{{ value_json }}", "{{ value_json.a | log }}", "{{ valu }}", "{{}}",
        "",
        "{{ value_json.a / 0 }}", "{{ value_json.a / 0.4 | int }}", "{{ value_json['a }}", "{{ value_json.a / b }}",
        "{{ value_json[i] }}", "{{ value_json.a ~ 'x' }}", "{{ value_json. }}", "{{ value if 1 }}", "{{ values }}",
    ])
    func anyOtherTemplateIsToldAndNotGuessed(_ template: String) throws {
        #expect(try said(template, #"{"a":5}"#) == ["!unknownValue"])
    }

    @Test func theFaultNamesTheTemplate() throws {
        var made = try device("{channel: power, entity: e}")
        var out = Outbox()
        let config = Array(#"{"stat_t":"t/s","unit_of_meas":"W","val_tpl":"{{ value|log }}"}"#.utf8)
        let source = Source(topic: "homeassistant/sensor/e/config", subscription: 0, isRetained: true)
        made.receive(config.span, from: source, &out)
        #expect(out.faults.first?.detail == "e has an unsupported template: {{ value|log }}")
    }

    @Test(arguments: [
        (#"{"stat_t":"t/s","unit_of_meas":"V"}"#, "power"), (#"{"stat_t":"t/s"}"#, "power"), (#"{}"#, "power"),
        (#"{"stat_t":"t/s","unit_of_meas":"kWh","stat_cla":"measurement"}"#, "energy"),
        (#"{"stat_t":"t/s","unit_of_meas":"W","stat_cla":"total"}"#, "power"),
        (#"{"stat_t":"elsewhere/s","unit_of_meas":"W"}"#, "power"),
    ])
    func whatDoesNotFitIsToldAndNotRead(_ config: String, _ channel: String) throws {
        var made = try device("{channel: \(channel), entity: e}")
        #expect(made.hears("homeassistant/sensor/e/config", config, retained: true) == ["!unknownValue"])
        #expect(made.hears("t/s", "5") == [])
    }

    @Test func topicsAreExpandedAtEitherEnd() throws {
        var made = try device("{channel: power, entity: n/e}, {channel: voltage, entity: v}")
        let first = #"{"~":"t/a","state_topic":"~/s","unit_of_measurement":"W","avty_t":"t/b/~"}"#
        #expect(made.hears("homeassistant/sensor/n/e/config", first, retained: true) == [])
        #expect(made.hears("homeassistant/sensor/v/config", #"{"~":"/v","stat_t":"t~","unit_of_meas":"V"}"#) == [])
        #expect(made.hears("t/a/s", "7") == ["power=7"])
        #expect(made.hears("t/v", "230") == ["voltage=230"])
        #expect(made.hears("t/b/t/a", "offline", retained: true) == ["online=0"])
    }

    @Test func aStateBeforeItsAnnouncementOrRetainedSaysNothing() throws {
        var made = try device("{channel: power, entity: e}")
        #expect(made.hears("t/s", "7") == [])
        #expect(
            made.hears("homeassistant/sensor/e/config", #"{"stat_t":"t/s","unit_of_meas":"W"}"#, retained: true) == [])
        #expect(made.hears("t/s", "7", retained: true) == [])
        #expect(made.hears("t/s", "7") == ["power=7"])
        #expect(made.hears("t/s", "") == [])
        #expect(made.hears("t/s", "None") == ["power=unknown"])
        #expect(made.hears("homeassistant/sensor/e/config", "", retained: true) == [])
        #expect(made.hears("t/s", "8") == [])
    }

    @Test(arguments: [
        ("all", ["online=0", "online=0", "online=1", "online=0"]), ("any", [nil, "online=1", "online=1", "online=1"]),
        ("latest", ["online=0", "online=1", "online=1", "online=0"]),
    ])
    func availabilityOfSeveralTopics(_ mode: String, _ wanted: [String?]) throws {
        var made = try device("{channel: power, entity: e}")
        let config =
            #"{"stat_t":"t/s","unit_of_meas":"W","avty_mode":"\#(mode)","avty":[{"t":"t/a"},"#
            + #"{"t":"t/b","val_tpl":"{{value_json.state}}","pl_avail":"up","pl_not_avail":"down"}]}"#
        #expect(made.hears("homeassistant/sensor/e/config", config, retained: true) == [])
        let steps = [
            ("t/a", "offline"), ("t/b", #"{"state":"up"}"#), ("t/a", "online"), ("t/b", #"{"state":"down"}"#),
        ]
        for (step, want) in zip(steps, wanted) {
            #expect(made.hears(step.0, step.1) == [want].compactMap { $0 })
        }
    }

    @Test func oneEntityThatIsNotAvailableIsUnknown() throws {
        var made = try device("{channel: power, entity: a}, {channel: voltage, entity: b}")
        for (name, unit) in [("a", "W"), ("b", "V")] {
            let config = #"{"stat_t":"t/\#(name)","unit_of_meas":"\#(unit)","avty_t":"t/\#(name)/up"}"#
            #expect(made.hears("homeassistant/sensor/\(name)/config", config, retained: true) == [])
            #expect(made.hears("t/\(name)/up", "online") == ["online=1"])
        }
        #expect(made.hears("t/b/up", "offline") == ["voltage=unknown", "online=1"])
        #expect(made.hears("t/a/up", "offline") == ["online=0"])
    }

    @Test func announcedAgainItKeepsWhatWasSaidOfItsAvailability() throws {
        var made = try device("{channel: power, entity: a}, {channel: voltage, entity: b}")
        for name in ["a", "b", "a"] {
            let config =
                #"{"stat_t":"t/\#(name)","unit_of_meas":"\#(name == "a" ? "W" : "V")","avty_t":"t/up/\#(name)"}"#
            #expect(made.hears("homeassistant/sensor/\(name)/config", config) == [])
            if name == "a" { _ = made.hears("t/up/a", "online") }
        }
        #expect(made.hears("t/up/b", "offline") == ["online=1"])
    }

    @Test func twoEntitiesOfOneNameAreTold() throws {
        var made = try device("{channel: power, entity: e}")
        let config = #"{"stat_t":"t/s","unit_of_meas":"W"}"#
        #expect(made.hears("homeassistant/sensor/n/e/config", config, retained: true) == [])
        #expect(made.hears("homeassistant/sensor/m/e/config", config, retained: true) == ["!unknownValue"])
        #expect(made.hears("homeassistant/sensor/n/e/config", config, retained: true) == [])
    }

    @Test(arguments: [
        ("{values: [{channel: power, entity: e}]}", "needs 'topic'"), ("{topic: t}", "needs 'values'"),
        ("{topic: t, values: [{channel: power}]}", "needs 'entity'"),
        ("{topic: t, prefix: 'a/#', values: [{channel: power, entity: e}]}", "prefix"),
        ("{topic: t, also: ['#'], values: [{channel: power, entity: e}]}", "also"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(HomeAssistant.self, keys)
        #expect(mistakes.count == 1, "\(mistakes)")
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }
}
