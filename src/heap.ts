/**
 * V8's heap, kept small: the daemon runs for years beside containers that want the memory, and makes little garbage.
 * Both flags are read whenever the heap is about to grow, so they may be set in the running process (v8.setFlagsFromString);
 * `--max-semi-space-size`, which says it more directly, counts on the command line only.
 */
import { setFlagsFromString } from 'node:v8'

/** To be called before much was allocated: what has grown does not shrink. */
export const keepHeapSmall = (): void => {
  // Short-lived objects have the room they start with; it is never doubled.
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString('--optimize-for-size')
}
