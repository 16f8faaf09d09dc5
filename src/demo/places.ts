/** Where the demo's services are, on either side of the wall, and which of them this machine has the programs for. */
import { existsSync } from 'node:fs'

export const PROVIDER_FOLDER = '/run/svc'
/** Nobody makes this folder: the daemon does, and removes it again. */
const CONSUMER_FOLDER = '/run/services'

export interface Place {
  readonly provider: string
  readonly consumer: string
}
/** The demo's two services, and where they are on either side of the wall. */
export const ECHO: Place = {
  provider: `${PROVIDER_FOLDER}/echo.sock`,
  consumer: `${CONSUMER_FOLDER}/echo.sock`,
}
export const GREETER: Place = {
  provider: `${PROVIDER_FOLDER}/greeter.sock`,
  consumer: `${CONSUMER_FOLDER}/greeter.sock`,
}
/** Where there is a bus to play with. */
export const BUS: Place = {
  provider: `${PROVIDER_FOLDER}/bus`,
  consumer: `${CONSUMER_FOLDER}/bus`,
}
/** Where there is a compositor to play with. */
export const DISPLAY: Place = {
  provider: `${PROVIDER_FOLDER}/wayland-0`,
  consumer: `${CONSUMER_FOLDER}/wayland-0`,
}
/** Where there is Python to play with. */
export const WHO: Place = {
  provider: `${PROVIDER_FOLDER}/who.sock`,
  consumer: `${CONSUMER_FOLDER}/who.sock`,
}
/** Nodes of a graphics device that has no driver: they look like any others. */
export const CARD: Place = { provider: `${PROVIDER_FOLDER}/card0`, consumer: '/dev/dri/card0' }
export const RENDER: Place = { provider: `${PROVIDER_FOLDER}/renderD128`, consumer: '/dev/dri/renderD128' }

export const PYTHON = '/usr/bin/python3'
export const DBUS_DAEMON = '/usr/bin/dbus-daemon'
export const WESTON = '/usr/bin/weston'

// The containers see the same programs as the host does.

export const hasBus = (): boolean => existsSync(DBUS_DAEMON)

export const hasCompositor = (): boolean => existsSync(WESTON)

export const hasPython = (): boolean => existsSync(PYTHON)
