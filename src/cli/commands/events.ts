/** `events`: what happens in the daemon, line by line, as it happens. */

import type { StreamEvent } from '../../events/event.ts'
import { E } from '../../fp.ts'
import { decodeArguments, NO_OPERANDS } from '../arguments.ts'
import { type Command, complain, helpFor, refuseUsage, type Terminal } from '../command.ts'
import { describeAskError, streamControl } from '../control-client.ts'
import { eventReader, eventText, linkOf } from '../event-text.ts'
import { type Option, switchOption, textOption } from '../option-kinds.ts'
import { controlOption, DEFAULT_CONFIG } from '../options.ts'

export interface EventsConfig {
  readonly control: string
  readonly follow: boolean
  readonly json: boolean
  /** Empty: all. */
  readonly link: string
}

const DEFAULTS: EventsConfig = { control: DEFAULT_CONFIG.control, follow: false, json: false, link: '' }

export const EVENTS_OPTIONS: readonly Option<EventsConfig>[] = [
  controlOption("The daemon's control socket."),
  switchOption(
    { flag: 'follow', short: 'f', variable: null, help: 'Go on with what happens, until Ctrl-C.' },
    { get: config => config.follow, set: (config, follow) => ({ ...config, follow }) },
  ),
  switchOption(
    { flag: 'json', variable: null, help: 'Print each event as a line of JSON, with every field.' },
    { get: config => config.json, set: (config, json) => ({ ...config, json }) },
  ),
  textOption(
    { flag: 'link', variable: null, help: 'Only events of links whose key contains this.' },
    { get: config => config.link, set: (config, link) => ({ ...config, link }) },
  ),
]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'events',
        operands: NO_OPERANDS,
        about: [
          'Shows what happened in the daemon lately: how links moved and why, what was decided about them, what their plugins report of connections, and other graphs. The daemon remembers some hundred events; with --follow it goes on with what happens.',
          'Ends with 1 if the daemon cannot be asked, or goes away.',
        ],
        options: EVENTS_OPTIONS,
        defaults: DEFAULTS,
        examples: ['pv-xconnect events -f', 'pv-xconnect events --link app/raw --json'],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const decoded = decodeArguments(EVENTS_OPTIONS, NO_OPERANDS, DEFAULTS, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'events', decoded.left)
    const { config } = decoded.right
    const stop = config.follow ? terminal.stopAsked() : NEVER
    const read = eventReader()
    const url = config.follow ? '/events?since=0' : '/events?follow=no'
    const ended = await streamControl(
      config.control,
      url,
      text => {
        for (const event of read(text)) show(event, config, terminal)
      },
      Promise.race([stop, closed(terminal, config.follow)]),
    )
    if (E.isLeft(ended)) {
      complain(terminal, 'events', ...describeAskError(ended.left))
      return 1
    }
    if (ended.right === 'stopped' || !config.follow) return 0
    complain(terminal, 'events', 'the daemon has ended')
    return 1
  },
}

const NEVER = new Promise<never>(() => undefined)
const LOOK_EVERY_MS = 500

/** `events -f | head`: nobody reads any more, and it may take long until there is something to write. */
const closed = (terminal: Terminal, follow: boolean): Promise<void> =>
  follow
    ? new Promise(resolve => {
        const look = setInterval(() => {
          if (terminal.closed !== true) return
          clearInterval(look)
          resolve()
        }, LOOK_EVERY_MS).unref()
      })
    : NEVER

const show = (event: StreamEvent, { json, link }: EventsConfig, terminal: Terminal): void => {
  const whose = linkOf(event)
  if (link !== '' && whose !== null && !whose.includes(link)) return
  // What concerns all links is not what somebody asks for who asks for one; but a gap is a gap.
  if (link !== '' && whose === null && event.type !== 'missed') return
  if (json) terminal.out(`${JSON.stringify(event)}\n`)
  else {
    const text = eventText(event)
    if (text !== null) terminal.out(`${text}\n`)
  }
}
