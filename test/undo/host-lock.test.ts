import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { VmrError } from '../../src/errors/vmr-error.ts'
import { withHostLock } from '../../src/undo/host-lock.ts'

const name = `test ${process.pid}`

/** Another process that holds the lock until it is killed. */
async function holder() {
  const program = `
    import { withHostLock } from './src/undo/host-lock.ts'
    await withHostLock({ name: ${JSON.stringify(name)} }, () => { console.log('held'); return new Promise(() => setInterval(() => {}, 1000)) })`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(createInterface(child.stdout), 'line')
  return child
}

describe('a lock on this host', () => {
  it('lets one task at a time run', async () => {
    let running = 0
    const order = await Promise.all(
      [1, 2, 3].map((number) =>
        withHostLock({ name }, async () => {
          running += 1
          assert.equal(running, 1)
          await new Promise((resolve) => setTimeout(resolve, 20))
          running -= 1
          return number
        }),
      ),
    )
    assert.deepEqual(order, [1, 2, 3])
  })

  it('refuses after a while when another process holds it, and says what is going on', async () => {
    const child = await holder()
    try {
      await assert.rejects(
        withHostLock({ name, timeoutMs: 100 }, async () => undefined),
        (error: unknown) => error instanceof VmrError && error.code === 'HOST_BUSY' && error.message.includes(name),
      )
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })

  it('is free as soon as its holder is killed', async () => {
    const child = await holder()
    const waiting = withHostLock({ name, timeoutMs: 5000 }, async () => 'mine')
    child.kill('SIGKILL')
    assert.equal(await waiting, 'mine')
  })

  it('is given up when the task fails', async () => {
    await assert.rejects(
      withHostLock({ name }, () => Promise.reject(new Error('failed'))),
      /failed/,
    )
    assert.equal(await withHostLock({ name, timeoutMs: 0 }, async () => 1), 1)
  })

  it('is not waited for after an abort', async () => {
    const child = await holder()
    try {
      const controller = new AbortController()
      const waiting = withHostLock({ name, signal: controller.signal }, async () => undefined)
      controller.abort()
      await assert.rejects(waiting, (error: unknown) => error instanceof VmrError && error.code === 'INTERRUPTED')
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
})
