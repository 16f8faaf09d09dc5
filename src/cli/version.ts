/** The version, from where npm reads it too; the bundle carries a copy. */
import manifest from '../../package.json' with { type: 'json' }

export const VERSION: string = manifest.version
