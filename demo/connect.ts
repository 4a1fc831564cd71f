// node demo/connect.ts <user> <link>: connects the account with a script in place of browser and person.
// node demo/connect.ts <user> <accounts page> disconnect: ends the access again.
import { connectAccount, disconnectAccount } from './connect-account.ts';

const [user = '', address = '', what = 'connect'] = process.argv.slice(2);
const say = (step: string) => console.log(`  ${user}: ${step}`);
try {
  if (!URL.canParse(address)) throw new Error('say who, and which link: node demo/connect.ts alice "$LINK"');
  if (what === 'disconnect') await disconnectAccount(new URL(address), 'tracker', user, say);
  else await connectAccount(new URL(address), user, say);
} catch (error) {
  console.error(`refused: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
