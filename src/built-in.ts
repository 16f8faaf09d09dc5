/** The plugins that come with the daemon, by the type of their links. Whoever composes a daemon, or a replay, hands them on. */

/** esbuild keeps a literal import lazy: a plugin is evaluated when the first link of its type appears. */
export const BUILT_IN = {
  unix: () => import('../plugins/unix/index.ts'),
  rest: () => import('../plugins/rest/index.ts'),
  dbus: () => import('../plugins/dbus/index.ts'),
  wayland: () => import('../plugins/wayland/index.ts'),
  drm: () => import('../plugins/drm/index.ts'),
}
