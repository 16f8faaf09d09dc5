#!/usr/bin/env node
/** Where the process starts: the command line on the real terminal, its answer as the exit code. */
import { main } from './cli/main.ts'
import { processTerminal } from './cli/terminal.ts'

// Not `process.exit`: it would cut off what is still on its way to a pipe.
process.exitCode = await main(process.argv.slice(2), processTerminal())
