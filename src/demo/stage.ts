/** The demo's stage: its folder, its two containers, and a Pantavisor that assigns what the play says. Owns all of it until it is struck. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DemoContainer } from './containers.ts'
import type { DaemonProcess } from './daemon-process.ts'
import { BUS, CARD, DISPLAY, ECHO, GREETER, RENDER, WHO } from './places.ts'

export interface Stage {
  readonly folder: string
  readonly pvCtrl: string
  readonly control: string
  readonly consumer: DemoContainer
  readonly provider: DemoContainer
  readonly server: Server
  /** What Pantavisor assigns: each service, and the role in it. */
  roles: {
    readonly echo?: string
    readonly greeter?: string
    readonly postbox?: string
    readonly display?: string
    readonly who?: string
    /** Of both nodes. */
    readonly gpu?: string
  }
}

export const ECHO_LINK = `app/echo@${ECHO.consumer}`
export const GREETER_LINK = `app/greeter@${GREETER.consumer}`
export const POSTBOX_LINK = `app/postbox@${BUS.consumer}`
export const DISPLAY_LINK = `app/display@${DISPLAY.consumer}`
export const WHO_LINK = `app/who@${WHO.consumer}`
export const CARD_LINK = `app/card@${CARD.consumer}`
export const RENDER_LINK = `app/render@${RENDER.consumer}`

/** The service of the bus that its link is for. */
export const POSTBOX = 'org.example.Postbox'

/** As Pantavisor says it now. */
export const graphOf = ({ consumer, provider, roles }: Stage): string => {
  const ends = {
    consumer: consumer.name,
    consumer_pid: consumer.pid,
    provider: provider.name,
    provider_pid: provider.pid,
  }
  const links = [
    { ...ends, type: 'unix', name: 'echo', role: roles.echo, socket: ECHO.provider, target: ECHO.consumer },
    {
      ...ends,
      type: 'rest',
      name: 'greeter',
      role: roles.greeter,
      socket: GREETER.provider,
      target: GREETER.consumer,
    },
    {
      ...ends,
      type: 'dbus',
      name: 'postbox',
      role: roles.postbox,
      interface: POSTBOX,
      socket: BUS.provider,
      target: BUS.consumer,
    },
    {
      ...ends,
      type: 'wayland',
      name: 'display',
      role: roles.display,
      socket: DISPLAY.provider,
      target: DISPLAY.consumer,
    },
    {
      ...ends,
      type: 'unix',
      name: 'who',
      role: roles.who,
      interface: 'unix+stream+greeting+role-creds+role-peercred',
      socket: WHO.provider,
      target: WHO.consumer,
    },
    { ...ends, type: 'drm', name: 'card', role: roles.gpu, socket: CARD.provider, target: CARD.consumer },
    {
      ...ends,
      type: 'drm',
      name: 'render',
      role: roles.gpu,
      socket: RENDER.provider,
      target: RENDER.consumer,
    },
  ]
  return JSON.stringify(links.filter(({ role }) => role !== undefined))
}

export const setStage = async (): Promise<Stage> => {
  const folder = mkdtempSync(join(tmpdir(), 'pv-xconnect-demo-'))
  const stage: Stage = {
    folder,
    pvCtrl: join(folder, 'pv-ctrl'),
    control: join(folder, 'control.sock'),
    consumer: new DemoContainer('app', 'consumer', join(folder, 'app')),
    provider: new DemoContainer('svc', 'provider', join(folder, 'svc')),
    server: createServer((_request, response) => response.end(graphOf(stage))),
    roles: { echo: 'any' },
  }
  await new Promise<void>(resolve => stage.server.listen(stage.pvCtrl, resolve))
  return stage
}

/** End and remove all of it; gives the exit code of the daemon. */
export const strike = async (stage: Stage, daemon: DaemonProcess | undefined): Promise<number | null> => {
  const code = daemon === undefined ? 0 : await daemon.end()
  await stage.consumer.kill()
  await stage.provider.kill()
  stage.server.close()
  stage.server.closeAllConnections()
  rmSync(stage.folder, { recursive: true })
  return code
}
