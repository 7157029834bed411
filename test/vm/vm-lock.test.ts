import assert from 'node:assert/strict'
import { isVmrError, VmrError } from '../../src/errors/vmr-error.ts'
import { withVmLock } from '../../src/vm/vm-lock.ts'

const name = `vmr-test-${process.pid}`

describe('two vmr on one VM', () => {
  it('take turns', async () => {
    const order: string[] = []
    let release = () => {}
    const first = withVmLock(name, {}, async () => {
      order.push('first begins')
      await new Promise<void>((resolve) => {
        release = resolve
      })
      order.push('first ends')
    })
    const second = withVmLock(name, {}, async () => order.push('second begins'))
    await withVmLock(`${name}-other`, {}, async () => order.push('another VM is not kept'))
    release()
    await Promise.all([first, second])
    assert.deepEqual(order, ['first begins', 'another VM is not kept', 'first ends', 'second begins'])
  })

  it('do not wait for ever: the second says who is in the way and what to do', async () => {
    await withVmLock(name, {}, () =>
      assert.rejects(
        withVmLock(name, { timeoutMs: 50 }, async () => undefined),
        (error: unknown) => {
          assert.ok(isVmrError(error) && error.code === 'HOST_BUSY', String(error))
          assert.match(error.message, new RegExp(`another vmr has been changing ${name}`))
          assert.match(error.hint ?? '', /try again/)
          return true
        },
      ),
    )
  })

  it('stop waiting when interrupted', async () => {
    const controller = new AbortController()
    await withVmLock(name, {}, async () => {
      const waiting = withVmLock(name, { signal: controller.signal }, async () => undefined)
      controller.abort()
      await assert.rejects(waiting, (error: unknown) => isVmrError(error) && error.code === 'INTERRUPTED')
    })
  })

  it('keep the words of a failure that comes from within', async () => {
    const inner = new VmrError('HOST_BUSY', 'the lab is in use')
    await assert.rejects(
      withVmLock(name, {}, () => Promise.reject(inner)),
      (error: unknown) => error === inner,
    )
  })
})
