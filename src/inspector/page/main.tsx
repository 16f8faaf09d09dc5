/** Where the page starts: the server's events into the store, the store onto the screen. */
import './page.css'
import { render } from 'preact'
import { App } from './app.tsx'
import { fetchTimeline, followChosen, listen } from './feed.ts'
import { listenToKeys } from './keyboard.ts'
import { load, recording } from './replay.ts'
import { connection, downReason } from './store.ts'
import { applyTheme } from './theme.ts'

applyTheme()
render(<App />, document.body)
listenToKeys()
listen(() => {
  // A recording does not change: one look at it is enough, however often the server comes back.
  if (recording.peek() !== null) return
  fetchTimeline().then(load, (error: Error) => {
    connection.value = 'down'
    downReason.value = error.message
  })
})
followChosen()
