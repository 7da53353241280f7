export * from './index.js';
import testing = require('./index.js');
export default testing;
