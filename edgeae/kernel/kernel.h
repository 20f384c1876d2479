/* What the files of the library share. Plain C without Python's headers, called through ctypes. */

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Changes whenever a signature does. */
#define VERSION 2
