/* What would a power cut leave of the files below POWERCUT_ROOT?
 *
 * After every successful fsync or fdatasync of such a file its whole content is copied to POWERCUT_KEPT: that copy is
 * what the card is known to hold. powercut.py puts these copies back (all that was never synced is gone) or mixes
 * them sector by sector with what was written since (torn). Small files only: a copy per sync is the price of
 * simplicity. mmap'd writes are not seen: SQLite's -shm, which recovery rebuilds, is the only one.
 *
 * cc -shared -fPIC -O2 -Wall -o powercut.so powercut.c -ldl
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static int keep(int fd) {
  const char *root = getenv("POWERCUT_ROOT"), *kept = getenv("POWERCUT_KEPT");
  if (!root || !kept) return 0;
  char link[64], path[PATH_MAX], temporary[PATH_MAX], final[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  struct stat st;
  if (n <= 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) return 0;
  path[n] = 0;
  if (strncmp(path, root, strlen(root))) return 0;
  const char *name = strrchr(path, '/') + 1;
  if (snprintf(final, sizeof final, "%s/%s", kept, name) >= PATH_MAX) return 0;
  if (snprintf(temporary, sizeof temporary, "%s/.%s.new", kept, name) >= PATH_MAX) return 0;
  int in = open(path, O_RDONLY | O_CLOEXEC);
  int out = open(temporary, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  off_t left = st.st_size;
  while (in >= 0 && out >= 0 && left > 0) {
    ssize_t sent = sendfile(out, in, NULL, left);
    if (sent <= 0) break;
    left -= sent;
  }
  if (in >= 0) close(in);
  if (out >= 0) close(out);
  return left == 0 ? rename(temporary, final) : -1;
}

/* A journalling file system makes earlier unlinks durable with any later sync. */
static void forget_unlinked(void) {
  const char *root = getenv("POWERCUT_ROOT"), *kept = getenv("POWERCUT_KEPT");
  DIR *dir = kept ? opendir(kept) : NULL;
  if (!dir) return;
  char here[PATH_MAX], there[PATH_MAX];
  for (struct dirent *entry; (entry = readdir(dir));) {
    if (entry->d_name[0] == '.') continue;
    if (snprintf(there, sizeof there, "%s/%s", root, entry->d_name) >= PATH_MAX) continue;
    if (snprintf(here, sizeof here, "%s/%s", kept, entry->d_name) >= PATH_MAX) continue;
    if (access(there, F_OK)) unlink(here);
  }
  closedir(dir);
}

static int synced(int fd, const char *name) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  int answer = real(fd);
  if (!answer && !keep(fd)) forget_unlinked();
  return answer;
}
int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }
