import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { unknownVariables, type Variables } from '../../src/cli/arguments.ts'
import type { Option } from '../../src/cli/option-kinds.ts'
import {
  DAEMON_OPTIONS,
  type DaemonConfig,
  DEFAULT_CONFIG,
  decodeDaemonConfig,
} from '../../src/cli/options.ts'
import { E } from '../../src/fp.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'

const configOf = (args: readonly string[], variables: Variables = {}): DaemonConfig => {
  const decoded = decodeDaemonConfig(args, variables)
  if (E.isLeft(decoded)) assert.fail(decoded.left.problems.join('\n'))
  return decoded.right
}

const problemsOf = (args: readonly string[], variables: Variables = {}): readonly string[] => {
  const decoded = decodeDaemonConfig(args, variables)
  return E.isLeft(decoded) ? decoded.left.problems : assert.fail(`accepted: ${args.join(' ')}`)
}

const anotherValue = (option: Option<DaemonConfig>): string => {
  switch (option.kind._tag) {
    case 'path':
      return '/tmp/another.sock'
    case 'text':
      return 'another'
    case 'integer':
      return String(option.kind.min + 1)
    case 'choice':
      return option.kind.values.find(value => value !== option.show(DEFAULT_CONFIG)) ?? ''
    case 'switch':
      return 'on'
    case 'form':
      return '127.0.0.1:9300'
  }
}

describe("the daemon's options", () => {
  test('nothing given is every default', () => {
    assert.deepEqual(configOf([]), DEFAULT_CONFIG)
  })

  test('every limit of the model has an option', () => {
    const seen = new Set<string>()
    for (const option of DAEMON_OPTIONS) {
      const { limits } = configOf([`--${option.flag}=${anotherValue(option)}`])
      for (const [key, value] of Object.entries(DEFAULT_LIMITS)) {
        if (limits[key as keyof typeof limits] !== value) seen.add(key)
      }
    }
    assert.deepEqual([...seen].sort(), Object.keys(DEFAULT_LIMITS).sort())
  })

  for (const option of DAEMON_OPTIONS) {
    const value = anotherValue(option)
    const flag = `--${option.flag}`
    const variable = option.variable ?? assert.fail(`${flag} has no variable`)

    test(`${flag} and ${variable} set the same one thing`, () => {
      const byFlag = configOf([`${flag}=${value}`])
      assert.equal(option.show(byFlag), value)
      assert.deepEqual(configOf([], { [variable]: value }), byFlag)
      assert.notDeepEqual(byFlag, DEFAULT_CONFIG)
    })

    test(`${flag} wins over ${variable}`, () => {
      const fallback = option.show(DEFAULT_CONFIG)
      const decoded = configOf([`${flag}=${fallback}`], { [variable]: value })
      assert.deepEqual(decoded, DEFAULT_CONFIG)
    })

    test(`an empty ${variable} is as none`, () => {
      assert.deepEqual(configOf([], { [variable]: '' }), DEFAULT_CONFIG)
    })

    if (option.kind._tag !== 'switch' && option.bare === undefined) {
      test(`${flag} takes its value from the next word, and asks for one where none follows`, () => {
        assert.deepEqual(configOf([flag, value]), configOf([`${flag}=${value}`]))
        assert.match(problemsOf([flag])[0] ?? '', /needs a value/)
        assert.match(problemsOf([flag, '--pretty'])[0] ?? '', /needs a value/)
      })
    }

    if (option.kind._tag === 'integer') {
      const { min, max } = option.kind
      test(`${flag} takes ${min} to ${max} and nothing else`, () => {
        assert.equal(option.show(configOf([`${flag}=${min}`])), String(min))
        assert.equal(option.show(configOf([`${flag}=${max}`])), String(max))
        for (const bad of [String(min - 1), String(max + 1)]) {
          assert.match(
            problemsOf([`${flag}=${bad}`])[0] ?? '',
            new RegExp(`${flag} is ${bad}, .* ${min} to ${max}`),
          )
        }
        for (const bad of ['', '1.5', '1e3', '0x10', ' 7', '7s', 'NaN']) {
          assert.match(problemsOf([`${flag}=${bad}`])[0] ?? '', /no whole number/)
        }
      })
    }
  }

  test('--inspect needs no address, and takes the next word for one only if it looks like one', () => {
    const { inspect } = configOf(['--inspect'])
    assert.deepEqual(inspect, { host: '127.0.0.1', port: 0 })
    assert.deepEqual(configOf(['--inspect', '--pretty']), { ...configOf(['--pretty']), inspect })
    assert.deepEqual(configOf(['--inspect', '9300']).inspect, { host: '127.0.0.1', port: 9300 })
    assert.deepEqual(configOf(['--inspect=[::1]:9300']).inspect, { host: '::1', port: 9300 })
    assert.equal(configOf(['--inspect=off'], { PV_XCONNECT_INSPECT: 'on' }).inspect, null)
    assert.deepEqual(configOf([], { PV_XCONNECT_INSPECT: 'on' }).inspect, inspect)
    assert.deepEqual(problemsOf(['--inspect', 'stray']), ['it takes options only, not "stray"'])
  })

  test('--inspect listens on nothing that other machines could reach', () => {
    for (const address of ['0.0.0.0:9300', '[::]:9300', '10.1.2.3:9300', 'device:9300'])
      assert.match(
        problemsOf([`--inspect=${address}`])[0] ?? '',
        /no address for the inspector.*127\.0\.0\.1:9300/,
      )
  })

  test('a repeated flag: the last one counts', () => {
    assert.equal(configOf(['--interval', '100', '--interval', '200']).intervalMs, 200)
  })

  test('a relative socket path is made absolute, as the daemon may not stay where it was started', () => {
    assert.equal(configOf(['--pv-ctrl', 'x.sock']).pvCtrl, `${process.cwd()}/x.sock`)
  })

  test('a socket path that no Unix address can hold is refused with its length', () => {
    assert.match(problemsOf([`--pv-ctrl=/${'a'.repeat(107)}`])[0] ?? '', /108 bytes .* at most 107/)
    assert.match(problemsOf(['--pv-ctrl='])[0] ?? '', /empty/)
  })

  test('a switch can be turned off against its variable', () => {
    assert.equal(configOf(['--pretty'], {}).pretty, true)
    assert.equal(configOf(['--pretty=no'], { PV_XCONNECT_PRETTY: 'yes' }).pretty, false)
    assert.match(problemsOf(['--pretty=maybe'])[0] ?? '', /--pretty is "maybe"; give one of 1, true/)
  })

  test('a wrong word names the words there are, and the nearest', () => {
    assert.match(problemsOf(['--log-level=inof'])[0] ?? '', /trace, debug, info.*did you mean info\?/)
  })

  test('an unknown flag names the nearest', () => {
    assert.deepEqual(problemsOf(['--intervall=5']), ['unknown option --intervall; did you mean --interval?'])
    assert.deepEqual(problemsOf(['--max-connections-per']), [
      'unknown option --max-connections-per; did you mean --max-connections-per-link?',
    ])
    assert.deepEqual(problemsOf(['--frobnicate']), ['unknown option --frobnicate'])
    assert.deepEqual(problemsOf(['-x']), ['unknown option -x'])
  })

  test('what follows an unknown flag is taken for its value, not for a second mistake', () => {
    assert.equal(problemsOf(['--intervall', '5']).length, 1)
    assert.equal(problemsOf(['--intervall=5', 'stray']).length, 2)
  })

  test('a bad variable is named as one', () => {
    assert.match(
      problemsOf([], { PV_XCONNECT_DRAIN: 'soon' })[0] ?? '',
      /^variable PV_XCONNECT_DRAIN is "soon"/,
    )
  })

  test('every mistake is reported at once', () => {
    assert.equal(problemsOf(['--interval=x', '--nope=1', 'stray'], { PV_XCONNECT_BACKLOG: '0' }).length, 4)
  })

  test('an operand is refused', () => {
    assert.deepEqual(problemsOf(['stray']), ['it takes options only, not "stray"'])
  })

  test('a variable of ours that sets nothing is found', () => {
    const variables = { PV_XCONNECT_INTERVALL: '5', PV_XCONNECT_INTERVAL: '5', HOME: '/' }
    assert.deepEqual(unknownVariables(DAEMON_OPTIONS, variables), ['PV_XCONNECT_INTERVALL'])
  })
})
