/*
 * What a command over the serial console of a lab router costs, without KVM: median and best of 25, in ms.
 *
 *   sudo node --import tsx benchmarks/serial.ts
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheDirectory } from '../src/config/paths.ts'
import { buildLabImage } from '../src/image/lab-image.ts'
import { localShell } from '../src/shell/local.ts'
import { openConsoleSession } from '../src/shell/serial/login.ts'
import { serialShell } from '../src/shell/serial/serial-shell.ts'
import { startSerialGuest } from '../test/lab/serial/serial-guest.ts'

const folder = await mkdtemp(join(tmpdir(), 'vmr-serial-benchmark-'))
const guest = startSerialGuest(await buildLabImage({ cacheDirectory: cacheDirectory(), shell: localShell }), folder)
try {
  const stream = await guest.console()
  const session = await openConsoleSession(stream, {
    description: 'serial console of the lab router',
    credentials: { user: 'vyos', password: 'vyos' },
  })
  const shell = serialShell(session)
  const measure = async (what: string, times: number, task: () => Promise<unknown>) => {
    await task()
    const took: number[] = []
    for (let time = 0; time < times; time += 1) {
      const start = performance.now()
      await task()
      took.push(performance.now() - start)
    }
    took.sort((a, b) => a - b)
    process.stdout.write(`${what}: ${took[times >> 1]?.toFixed(0)} (${took[0]?.toFixed(0)})\n`)
  }
  await measure('true', 25, () => shell.run(['true']))
  await measure('ip -json address', 25, () => shell.run(['ip', '-json', 'address']))
  await measure('start and stop of sleep', 9, async () => (await shell.start(['sleep', '100'])).stop())
  await shell.close()
  await session.close()
  stream.destroy()
} finally {
  await guest.stop()
  await rm(folder, { recursive: true, force: true })
}
