/** Plugins that are not ours: the example of the documents at work, and every way in which one can be bad. */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, existsSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { askControl } from '../support/control.ts'
import { asText } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import { type PluginSandbox, pluginSandbox } from '../support/plugin-folder.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import {
  connectedPair,
  echoes,
  exists,
  keyOf,
  type Pair,
  type ScenarioOptions,
  SOCKET,
  scenario,
  stillEchoes,
  TARGET,
  unconnectedPair,
  type World,
} from '../support/scenario.ts'

const ODD_TARGET = '/run/odd/raw.sock'
/** Time enough for a handler of ours; short enough to be waited for. */
const PLUGIN_TIMEOUT_MS = 400

/** A test whose daemon has a folder of plugins of its own. */
const withPlugins = (
  name: string,
  body: (world: World, plugins: PluginSandbox) => Promise<void>,
  options: ScenarioOptions = {},
): void => {
  const plugins = pluginSandbox()
  const args = ['--plugin-dir', plugins.path, '--plugin-timeout', `${PLUGIN_TIMEOUT_MS}`]
  scenario(name, world => body(world, plugins), { ...options, args: [...args, ...(options.args ?? [])] })
}

/** A whole plugin for type `odd`; `changes` are members that replace its own, `before` is run when it is imported. */
const odd = (changes = '', before = ''): string => `${before}
const providerOf = link => ({ pid: link.provider_pid, socket: link.socket })
export default {
  name: 'odd',
  type: 'odd',
  onLinkAdded: (link, box, kept) =>
    box.injectSocket({ kind: 'stream', target: link.target, provider: providerOf(link), descriptors: 'exact' }, kept),
  onLinkChanged: (link, mediation, box) => box.retargetSocket(mediation, providerOf(link)),
  onLinkRemoved: (link, mediation, box) => box.withdraw(mediation),
  ${changes}
}`

interface OddPair extends Pair {
  /** A link of type `odd` between the same two. */
  readonly oddEntry: Entry
  readonly oddLink: string
}

/** A unix link that works, and one of type `odd` beside it in the graph. */
const withOddLink = async (world: World, type = 'odd'): Promise<OddPair> => {
  const pair = await connectedPair(world, { service: 'echo' })
  await echoes(pair.consumer, 'line')
  const oddEntry = { ...pair.entry, name: 'odd', type, target: ODD_TARGET }
  world.ctrl.serve([oddEntry, pair.entry])
  world.daemon.signal('SIGHUP')
  return { ...pair, oddEntry, oddLink: keyOf(oddEntry) }
}

/** The odd link is blocked for a reason that the log tells, nothing is planted for it, and the unix link works. */
const isBlocked = async (world: World, pair: OddPair, why: RegExp): Promise<void> => {
  const { app, consumer, oddLink } = pair
  await world.daemon.reaches(oddLink, 'pending.blocked')
  await world.daemon.logged(
    `the reason ${why}`,
    line => line['link'] === oddLink && why.test(String(line['reason'])),
  )
  await eventually('nothing is planted', () => !exists(app.path(ODD_TARGET)))
  await stillEchoes(consumer, 'line')
}

const comesUp = async (world: World, { consumer, oddLink }: OddPair): Promise<void> => {
  await world.daemon.reaches(oddLink, 'mediating')
  await echoes(consumer, 'odd', ODD_TARGET)
}

/** The example's link, up: the provider echoes what it hears. */
const withCommands = async (
  world: World,
  plugins: PluginSandbox,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<Pair> => {
  plugins.installExample('commands')
  const pair = await unconnectedPair(world)
  await pair.provider.listen('door', SOCKET)
  await pair.provider.serve('door', 'echo')
  const wanted = { type: 'commands', role: 'monitor', interface: 'commands+PING+STATUS', ...changes }
  const entry = { ...pair.entry, ...wanted }
  world.ctrl.serve([entry])
  return { ...pair, entry }
}

const answersPing = async ({ consumer }: Pair, name: string): Promise<void> => {
  await consumer.connect(name, TARGET)
  await consumer.send(name, 'PING\n')
  assert.equal((await consumer.readExactly(name, 5)).text, 'PING\n')
}

withPlugins('the example passes the commands that its link names', async (world, plugins) => {
  const pair = await withCommands(world, plugins)
  await world.daemon.reaches(pair.link, 'mediating')
  await answersPing(pair, 'line')
  await pair.consumer.send('line', 'STA')
  await pair.consumer.send('line', 'TUS of all\r\nPING\n')
  assert.equal((await pair.consumer.readExactly('line', 20)).text, 'STATUS of all\r\nPING\n')
  await pair.consumer.send('line', 'PING without an end of its line')
  await pair.consumer.shutdown('line', 'write')
  assert.equal((await pair.consumer.readToEnd('line')).text, '')
})

withPlugins(
  'the example ends the connection of a command that it refuses, and reports it',
  async (world, plugins) => {
    const pair = await withCommands(world, plugins)
    await world.daemon.reaches(pair.link, 'mediating')
    for (const line of [
      'SHUTDOWN now\n',
      'PINGS\n',
      ' PING\n',
      'PING\rSHUTDOWN\n',
      'PING\0\n',
      '\n',
      'x'.repeat(5000),
    ]) {
      await pair.consumer.connect(line, TARGET)
      await pair.consumer.send(line, line)
      assert.match((await pair.consumer.readToEnd(line)).text, /^ERR not allowed\n/, JSON.stringify(line))
    }
    await world.daemon.logged(
      'the refusal',
      line => line['audit'] === 'command refused' && line['command'] === 'SHUTDOWN',
    )
    await answersPing(pair, 'line')
    const { body } = await askControl(world.daemon.control, '/metrics')
    const refusals = [...body.matchAll(/^pv_xconnect_link_commands_refusals_total\{(.*)\} (\d+)$/gm)]
    assert.deepEqual(
      refusals.map(([, labels = '', count]) => [/why="(\w+)"/.exec(labels)?.[1], count]),
      [
        ['not_named', '6'],
        ['too_long', '1'],
      ],
    )
    world.ctrl.serve([])
    const last = await world.daemon.logged(
      'its counts',
      line => line['msg'] === 'commands passed and refused',
    )
    assert.deepEqual([last['messages'], last['denials'], last['link']], [1, 7, pair.link])
  },
)

withPlugins(
  'the example lets a provider that goes say its last, and takes no commands for it',
  async (world, plugins) => {
    plugins.installExample('commands')
    const { consumer, provider, entry, link } = await unconnectedPair(world)
    await provider.listen('door', SOCKET)
    world.ctrl.serve([{ ...entry, type: 'commands', role: 'monitor', interface: 'commands+PING' }])
    await world.daemon.reaches(link, 'mediating')
    await consumer.connect('line', TARGET)
    await consumer.send('line', 'PING\n')
    await provider.accept('door', 'line')
    await provider.readExactly('line', 5)
    const said = await provider.fill('line', 300)
    await provider.close('line')
    await consumer.send('line', 'PING\n')
    assert.equal((await consumer.readToEnd('line')).bytes, said)
  },
)

withPlugins('the example follows its provider without planting again', async (world, plugins) => {
  const pair = await withCommands(world, plugins)
  await world.daemon.reaches(pair.link, 'mediating')
  await answersPing(pair, 'before')
  const states = world.daemon.statesOf(pair.link).length
  const next = await world.container('svc2')
  const provider = await world.peer(next)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  world.ctrl.serve([{ ...pair.entry, provider_pid: next.pid }])
  await world.daemon.reachesAgain(pair.link, 'mediating.steady', states)
  await answersPing(pair, 'after')
  assert.deepEqual(world.daemon.statesOf(pair.link).slice(states), ['mediating.changing', 'mediating.steady'])
})

withPlugins(
  'the example plants a socket anew that was deleted, and open connections go on',
  async (world, plugins) => {
    const pair = await withCommands(world, plugins)
    await world.daemon.reaches(pair.link, 'mediating')
    await answersPing(pair, 'line')
    await pair.app.exec('rm', TARGET)
    await eventually('it is there again', () => exists(pair.app.path(TARGET)))
    await answersPing(pair, 'new')
    await pair.consumer.send('line', 'STATUS\n')
    assert.equal((await pair.consumer.readExactly('line', 7)).text, 'STATUS\n')
  },
)

withPlugins('the example decides by the role who may say what', async (world, plugins) => {
  const pair = await withCommands(world, plugins, { interface: 'commands' })
  await world.daemon.reaches(pair.link, 'pending.blocked')
  await world.daemon.logged('why', ({ reason }) =>
    /denied by commands: .* for role monitor/.test(String(reason)),
  )
  world.ctrl.serve([{ ...pair.entry, role: 'admin' }])
  await world.daemon.reaches(pair.link, 'mediating')
  await echoes(pair.consumer, 'anything')
})

// What may be loaded

const spoilt: readonly (readonly [
  string,
  (plugins: PluginSandbox) => void,
  (plugins: PluginSandbox) => void,
  RegExp,
])[] = [
  [
    'a plugin that others can write',
    plugins => chmodSync(plugins.at('odd'), 0o777),
    plugins => chmodSync(plugins.at('odd'), 0o755),
    /plugin odd is refused: \S+\/odd can be written .*mode 0777.*chmod go-w \S+\/odd$/,
  ],
  [
    'a plugin that does not belong to root',
    plugins => chownSync(plugins.at('odd', 'index.mjs'), 1000, 1000),
    plugins => chownSync(plugins.at('odd', 'index.mjs'), 0, 0),
    /\/odd\/index\.mjs does not belong to root \(owner 1000:1000, .*chown root:root \S+\/index\.mjs$/,
  ],
  [
    'a plugin that is a symlink',
    plugins => {
      renameSync(plugins.at('odd'), plugins.at('..', 'elsewhere'))
      symlinkSync('../elsewhere', plugins.at('odd'))
    },
    plugins => {
      rmSync(plugins.at('odd'))
      renameSync(plugins.at('..', 'elsewhere'), plugins.at('odd'))
    },
    /\/odd is a symlink/,
  ],
  [
    'any plugin of a folder that others can write',
    plugins => chmodSync(plugins.path, 0o777),
    plugins => chmodSync(plugins.path, 0o755),
    /\/plugins can be written .*mode 0777/,
  ],
  [
    'any plugin of a folder that others can exchange',
    plugins => chmodSync(plugins.at('..'), 0o777),
    plugins => chmodSync(plugins.at('..'), 0o700),
    /\/pvx-plugins-\w+ can be written .*mode 0777/,
  ],
]
for (const [what, spoil, mend, why] of spoilt) {
  withPlugins(
    `${what} is refused by name, and used after SIGHUP when it is mended`,
    async (world, plugins) => {
      plugins.install('odd', odd())
      spoil(plugins)
      const pair = await withOddLink(world)
      await isBlocked(world, pair, why)
      mend(plugins)
      world.daemon.signal('SIGHUP')
      await comesUp(world, pair)
    },
  )
}

withPlugins('a plugin that is put there later is used after SIGHUP', async (world, plugins) => {
  const pair = await withOddLink(world)
  await isBlocked(world, pair, /no plugin for type "odd"/)
  plugins.install('odd', odd())
  world.daemon.signal('SIGHUP')
  await comesUp(world, pair)
})

withPlugins(
  'a plugin never takes the place of a built-in one, and a warning says so',
  async (world, plugins) => {
    const trace = plugins.at('..', 'trace')
    plugins.install('unix', odd('', `import { writeFileSync } from 'node:fs'; writeFileSync('${trace}', '')`))
    const { consumer } = await connectedPair(world, { service: 'echo' })
    await echoes(consumer, 'line')
    await world.daemon.logged(
      'the warning',
      ({ plugin, reason }) => plugin === 'unix' && /always wins/.test(`${reason}`),
    )
    assert.equal(existsSync(trace), false)
  },
)

for (const type of ['../evil', '../../plugins/evil', 'evil/../../evil', '.', '..', '']) {
  withPlugins(`a type ${JSON.stringify(type)} in the graph leads nowhere`, async (world, plugins) => {
    const trace = plugins.at('..', 'trace')
    const evil = odd('', `import { writeFileSync } from 'node:fs'; writeFileSync('${trace}', '')`)
    for (const place of ['../evil', 'evil', '.', '..']) plugins.install(place, evil)
    const pair = await withOddLink(world, type)
    if (type === '') {
      await world.daemon.logged('the entry', ({ reason }) => /type/.test(String(reason)))
    } else await isBlocked(world, pair, /no plugin for type/)
    await stillEchoes(pair.consumer, 'line')
    assert.equal(existsSync(trace), false)
  })
}

scenario('without --plugin-dir no plugin is loaded from anywhere', async world => {
  await isBlocked(world, await withOddLink(world), /no plugin for type "odd"/)
})

// What does not load

const unloadable: readonly (readonly [string, string, RegExp])[] = [
  ['throws when it is imported', odd('', 'throw new Error("no such luck")'), /failed to load: no such luck/],
  ['is no JavaScript', 'export default {', /plugin odd failed to load: .*\/odd\/index\.mjs/],
  ['exports nothing', 'export const nothing = 1', /failed to load: it exports no plugin/],
  ['lacks a handler', odd('onLinkRemoved: undefined,'), /failed to load: onLinkRemoved is missing/],
  ['is for another type', odd("type: 'even',"), /failed to load: it says it is for type "even"/],
  ['imports what is not there', odd('', "import 'left-pad'"), /failed to load: .*left-pad/],
]
for (const [what, source, why] of unloadable) {
  withPlugins(
    `a plugin that ${what} blocks its own links, until its file is mended`,
    async (world, plugins) => {
      plugins.install('odd', source)
      const pair = await withOddLink(world)
      await isBlocked(world, pair, why)
      plugins.install('odd', odd())
      world.daemon.signal('SIGHUP')
      await comesUp(world, pair)
    },
  )
}

withPlugins(
  'a plugin that never finishes loading holds nobody up, and is named',
  async (world, plugins) => {
    plugins.install('odd', odd('', 'await new Promise(() => undefined)'))
    const pair = await withOddLink(world)
    await isBlocked(world, pair, /plugin odd is still loading/)
    await isBlocked(world, pair, /plugin odd did not load within 0\.3 s/)
  },
  { args: ['--plugin-load-timeout', '300'] },
)

withPlugins(
  'a plugin that loads late is used as soon as it is there',
  async (world, plugins) => {
    const go = plugins.at('..', 'go')
    const waiting = `
      import { existsSync } from 'node:fs'
      while (!existsSync('${go}')) await new Promise(resolve => setTimeout(resolve, 20))`
    plugins.install('odd', odd('', waiting))
    const pair = await withOddLink(world)
    await isBlocked(world, pair, /did not load within 0\.1 s/)
    writeFileSync(go, '')
    await comesUp(world, pair)
  },
  { args: ['--plugin-load-timeout', '100'] },
)

// What goes wrong at work

const faulty: readonly (readonly [string, string, RegExp])[] = [
  ['throws', 'onLinkAdded: () => { throw new Error("oops") },', /plugin odd failed: oops/],
  ['rejects', 'onLinkAdded: () => async () => { throw new Error("oops") },', /plugin odd failed: oops/],
  ['is none', 'onLinkAdded: () => 5,', /plugin odd failed: .*not a function/],
  [
    'answers nonsense',
    'onLinkAdded: () => async () => ({ _tag: "Right", right: 5 }),',
    /it gave no mediation/,
  ],
  ['answers nothing', 'onLinkAdded: () => async () => undefined,', /it gave neither Left nor Right/],
  [
    'plants, and then fails',
    `onLinkAdded: (link, box) => async () => {
      await box.injectSocket({ kind: 'stream', target: link.target, provider: providerOf(link), descriptors: 'none' })()
      throw new Error('oops')
    },`,
    /plugin odd failed: oops/,
  ],
  [
    'plants, and never answers',
    `onLinkAdded: (link, box) => async () => {
      await box.injectSocket({ kind: 'stream', target: link.target, provider: providerOf(link), descriptors: 'none' })()
      return new Promise(() => undefined)
    },`,
    /plugin odd failed: it did not answer onLinkAdded within 0\.4 s/,
  ],
]
for (const [what, changes, why] of faulty) {
  withPlugins(`a handler that ${what} blocks its link and leaves nothing behind`, async (world, plugins) => {
    plugins.install('odd', odd(changes))
    await isBlocked(world, await withOddLink(world), why)
  })
}

withPlugins('a plugin that answers too late cannot plant any more', async (world, plugins) => {
  const slow = `onLinkAdded: (link, box) => async () => {
    await new Promise(resolve => setTimeout(resolve, ${3 * PLUGIN_TIMEOUT_MS}))
    const request = { kind: 'stream', target: link.target, provider: providerOf(link), descriptors: 'none' }
    const answer = await box.injectSocket(request)()
    box.log.info({ answer }, 'tried at last')
    return answer
  },`
  plugins.install('odd', odd(slow))
  const pair = await withOddLink(world)
  await isBlocked(world, pair, /did not answer onLinkAdded/)
  const line = await world.daemon.logged('its attempt', ({ msg }) => msg === 'tried at last')
  assert.match(asText(line), /"_tag":"Left".*no longer has/)
  await isBlocked(world, pair, /did not answer onLinkAdded/)
})

withPlugins('a removal that never ends does not keep the socket', async (world, plugins) => {
  plugins.install('odd', odd('onLinkRemoved: () => () => new Promise(() => undefined),'))
  const pair = await withOddLink(world)
  await comesUp(world, pair)
  world.ctrl.serve([pair.entry])
  await world.daemon.reaches(pair.oddLink, 'released')
  assert.equal(exists(pair.app.path('/run/odd')), false)
  const line = await world.daemon.logged('what was left', ({ leftBehind }) => leftBehind !== undefined)
  assert.match(asText(line), /plugin odd failed: it did not answer onLinkRemoved/)
  await stillEchoes(pair.consumer, 'line')
})

withPlugins(
  'a removal that never ends does not keep the daemon either',
  async (world, plugins) => {
    plugins.install('odd', odd('onLinkRemoved: () => () => new Promise(() => undefined),'))
    const pair = await withOddLink(world)
    await comesUp(world, pair)
    await world.daemon.stop()
    assert.equal(exists(pair.app.path('/run/odd')), false)
  },
  { args: ['--plugin-timeout', '600000'] },
)

withPlugins('what a plugin fails at outside of its handlers costs nobody a link', async (world, plugins) => {
  const stray = `
    setTimeout(() => { throw new Error('from a timer') }, 50)
    void Promise.reject(new Error('left alone'))`
  plugins.install('odd', odd('', stray))
  const pair = await withOddLink(world)
  for (const words of ['from a timer', 'left alone']) {
    const line = await world.daemon.logged(words, each => asText(each).includes(words))
    assert.equal(line['plugin'], 'odd')
  }
  await comesUp(world, pair)
  await stillEchoes(pair.consumer, 'line')
})

withPlugins('an opinion that throws, or is none, blocks its links only', async (world, plugins) => {
  plugins.install('odd', odd('admits: () => { throw new Error("no idea") },'))
  plugins.install('mute', odd("type: 'mute', admits: () => 'yes',"))
  const pair = await withOddLink(world)
  await isBlocked(world, pair, /plugin odd failed: no idea/)
  const mute = { ...pair.oddEntry, type: 'mute', name: 'mute' }
  world.ctrl.serve([pair.entry, mute])
  await isBlocked(world, { ...pair, oddEntry: mute, oddLink: keyOf(mute) }, /plugin mute gave no verdict/)
})
