import { join } from 'node:path'
import { execa } from 'execa'

const privateHost = join(import.meta.dirname, '../../../scripts/test/private-host.sh')
const library = JSON.stringify(new URL('../../../src/libvirt/index.ts', import.meta.url).href)

/** As nobody, for libvirtd lets root in without asking; prints what connecting gave. */
const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']

/**
 * Prepares a private host by a script of bash, connects to its libvirt at qemu:///system, and returns the domains that it
 * has or why the connection was refused.
 */
export async function connectOnPrivateHost(options: {
  readonly prepare: string
  readonly user: 'root' | 'nobody'
}): Promise<string> {
  const client = `
    import { connect } from ${library}
    await connect('qemu:///system').then(
      async (connection) => {
        process.stdout.write('domains: ' + (await connection.listAllDomains()).length)
        await connection.close()
      },
      (error) => process.stdout.write(error.reason + ': ' + error.message),
    )`
  const words = [
    ...(options.user === 'nobody' ? asNobody : []),
    ...[process.execPath, '--import', 'tsx', '--input-type=module', '-e', client],
  ]
  const { stdout } = await execa(privateHost, ['bash', '-euc', `${options.prepare}\n"$@"`, 'bash', ...words], {
    env: { VMR_PRIVATE_HOST: '' },
    stdin: 'ignore',
  })
  return stdout
}
