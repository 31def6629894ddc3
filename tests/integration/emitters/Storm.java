// SPDX-License-Identifier: Apache-2.0
// What StoRM WebDAV does for SciTags behind NGINX: it writes the start of each download into the pipe, which it opens as a random access
// file, for reading and writing, and lets NGINX send the file. usage: java Storm.java PIPE DIRECTORY; prints its port.
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.InetSocketAddress;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class Storm {
    private static final Pattern END = Pattern.compile("(by|for)=\"\\[?([0-9A-Fa-f:.]+?)\\]?:(\\d+)\"");

    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", exchange -> {
            String local = "", remote = "";
            Matcher end = END.matcher(exchange.getRequestHeaders().getFirst("Forwarded"));
            while (end.find()) {
                String address = end.group(2) + " " + end.group(3);
                if (end.group(1).equals("by")) local = address;
                else remote = address;
            }
            int tag = Integer.parseInt(exchange.getRequestHeaders().getFirst("SciTag"));
            try (RandomAccessFile pipe = new RandomAccessFile(arguments[0], "rw")) {
                pipe.writeBytes("start tcp " + local + " " + remote + " " + (tag >> 6) + " " + (tag & 63) + "\n");
            }
            var headers = exchange.getResponseHeaders();
            headers.set("X-Accel-Redirect", "/.storm-webdav/internal/get" + arguments[1] + exchange.getRequestURI().getPath());
            headers.set("X-Scitag-ExpId", Integer.toString(tag >> 6));
            headers.set("X-Scitag-ActId", Integer.toString(tag & 63));
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
        });
        server.start();
        System.out.println(server.getAddress().getPort());
    }
}
