// The same for CommonJS.
import ottla = require('ottla');

export const connect = async (): Promise<ottla.Producer> => (
  ottla.Producer.connect({ bootstrapServers: 'h:1' })
);
