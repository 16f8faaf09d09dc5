/** Where the page's script and style are: beside the bundle that this module has become a part of. */
import { fileURLToPath } from 'node:url'

export const PAGE_FOLDER = fileURLToPath(new URL('inspector', import.meta.url))
