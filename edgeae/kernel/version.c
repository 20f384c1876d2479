/* Which signatures a library has; library.py asks before it calls anything else. */

#include "kernel.h"

EXPORT int32_t edgeae_kernel_version(void) { return VERSION; }
